"""The config of an ingest as commented YAML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data_tools.readers.plates import Export
from data_tools.readers.recognition import Opened
from data_tools.start.cells import CellsFound
from data_tools.start.export import PlatesFound
from data_tools.start.measured import Measured
from data_tools.start.omics_entry import OmicsEntry
from data_tools.start.platemaps import Mapped
from framework.config import block_text, flow_text

_WIDTH = 110
_SHOWN = 3
_ENOUGH_IMAGES = 32
"""Images of a plate from which a flat-field is fitted; with fewer, cells stay in it."""
_KERNEL_SHARE, _SIGMA_SHARE = 250 / 1080, 50 / 1080
"""Of the shorter edge of an image, as in Image2Omics."""
_BAGS_PER_SHARD = 16


def ingest_yaml(
    found: PlatesFound | CellsFound, name: str, platemap: Mapped | None = None, omics: OmicsEntry | None = None
) -> str:
    """Return the YAML of an ingest.

    Args:
        found: the export.
        name: name of the dataset.
        platemap: platemap of plates.
        omics: omics of plates, where there is a table.
    """
    if isinstance(found, CellsFound):
        return _of_cells(found, name)
    lines = [
        *_comment(found.apart),
        f"# {found.why}: read by '{found.reader}'. Look before you build:",
        "#   wellstream ingest THIS.yaml --out DATASET --dry-run",
        f"name: {flow_text(name)}",
        "plates:",
    ]
    for one in found.plates:
        lines += _plate(one, platemap)
    measured = found.measured
    lines += [
        "# Channels to store, in this order.",
        f"channels: {flow_text(list(measured.channels))}",
        *_nuclei(measured),
        f"# A tile shows {measured.tile_px / measured.diameter_px:.1f} nuclei from edge to edge.",
        f"tiles: {flow_text({'size_px': measured.tile_px, **_dtype(measured.dtype)})}",
        *_illumination([one.listing for one in found.plates], measured),
    ]
    problems = [problem.detail for one in found.plates for problem in one.listing.problems]
    if problems or measured.problems:
        lines += _comment([f"{len(problems)} images are missing or damaged; skip leaves them out and lists them."])
        lines += _comment([*problems, *measured.problems][:_SHOWN])
        lines.append("on_error: skip")
    lines += _omics(omics)
    lines.append(f"shards: {flow_text({'bags_per_shard': _BAGS_PER_SHARD})}")
    return "\n".join([*lines, "seed: 0"]) + "\n"


def _plate(one: Opened[Export], platemap: Mapped | None) -> list[str]:
    export = one.listing
    size = "unknown" if export.pixel_size_um is None else f"{export.pixel_size_um:.4g} um"
    told = f"{export.plate}: {len(export.wells())} wells, {len(export.sites())} fields of view, pixel size {size}"
    lines = _comment(
        [told, *(f"{made.key} {made.taken} of {_others(made.others)}: {made.said}" for made in one.choices)]
    )
    source = block_text(_plain(one.options))
    lines += ["  - source:", *(f"      {line}" for line in source)]
    if platemap is not None:
        lines += [f"  {line}" for line in _comment([f"  {note}" for note in platemap.notes])]
        lines.append(f"    platemap: {flow_text(_plain(platemap.options))}")
    return lines


def _others(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _nuclei(measured: Measured) -> list[str]:
    diameter, um = measured.diameter_px, measured.pixel_size_um
    size = {"diameter_px": round(diameter, 1)} if um is None else {"diameter_um": float(f"{diameter * um:.3g}")}
    if not measured.seen:
        told = f"No nucleus was seen in {measured.fields} fields of '{measured.nuclei}': the diameter is a usual one."
    else:
        told = f"The diameter is that of most objects in {measured.fields} fields: {diameter:.0f} px."
    which = "" if measured.by_name else f"No channel is called as a stain of nuclei; '{measured.nuclei}' is the first."
    return [*_comment([told, which]), f"nuclei: {flow_text({'channel': measured.nuclei, **size})}"]


def _illumination(exports: Sequence[Export], measured: Measured) -> list[str]:
    images = min(len(export.sites()) for export in exports)
    own = all(set(measured.channels) <= set(export.profiles) for export in exports)
    if images >= _ENOUGH_IMAGES and measured.shape is not None:
        edge = min(measured.shape)
        options: dict[str, Any] = {"method": "percentile_gaussian", "percentile": 10}
        options |= {"kernel_px": max(1, round(_KERNEL_SHARE * edge)), "sigma_px": max(1, round(_SIGMA_SHARE * edge))}
        return [f"# The uneven light, from the mean of {images} fields.", f"illumination: {flow_text(options)}"]
    few = f"{images} fields are too few to fit the uneven light to"
    if own:
        return [f"# {few}: the flat-fields of the export are taken.", "illumination: {method: export}"]
    return [f"# {few}: images stay as they are.", "illumination: {method: none}"]


def _dtype(dtype: str) -> dict[str, str]:
    return {"dtype": "float32"} if dtype == "float32" else {}


def _omics(entry: OmicsEntry | None) -> list[str]:
    if entry is None:
        return []
    if entry.usable:
        return [*_comment(entry.notes), "omics:", f"  - {flow_text(entry.options)}"]
    return [*_comment(["This table cannot be read so far; correct the entry and take away the marks:", *entry.notes]),
            "# omics:", f"#   - {flow_text(entry.options)}"]  # fmt: skip


def _of_cells(found: CellsFound, name: str) -> str:
    lines = [
        f"# {found.why}: {found.count} cells, read by '{found.reader}'.",
        "kind: cells",
        f"name: {flow_text(name)}",
        f"channels: {flow_text(list(found.channels))}",
        "sources:",
    ]
    for number, one in enumerate(found.exports, start=1):
        named = name if len(found.exports) == 1 else f"{name} {number}"
        reader = block_text(_plain(one.options))
        lines += [f"  - name: {flow_text(named)}", "    reader:", *(f"      {line}" for line in reader)]
    tiles = {"size_px": found.tile_px, **_dtype(found.dtype), "fit": "pad_or_crop", "fill": "border"}
    by = f"by: {flow_text(list(found.labels))}, " if found.labels else ""
    problems = [problem.detail for one in found.exports for problem in one.listing.problems]
    lines += [
        f"# Nine of ten crops are at most {found.crop_px} px wide.",
        f"tiles: {flow_text(tiles)}",
        "# Cells of a bag share their labels; groups deal them into parts that a split can keep apart.",
        f"bags: {{{by}groups: 10}}",
    ]
    if problems:
        lines += [*_comment([f"{len(problems)} cells cannot be used.", *problems[:_SHOWN]]), "on_error: skip"]
    return "\n".join([*lines, "seed: 0"]) + "\n"


def _comment(sentences: Iterable[str]) -> list[str]:
    """Return sentences as lines that begin with ``#``."""
    told = [" ".join(sentence.split()) for sentence in sentences]
    return [f"# {line}" for sentence in told if sentence for line in textwrap.wrap(sentence, _WIDTH)]


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
