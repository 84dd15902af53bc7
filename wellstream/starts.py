"""A first config for an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_tools import start
from framework.data.format.schema import SOURCE, WELL
from framework.durable import write_text
from framework.errors import InputError
from framework.files.outputs import check_output_folder
from framework.result import LINES, Result
from framework.run.recipe import RecipeFacts, heads_recipe, recipe, tells_apart


@dataclass(frozen=True, kw_only=True, repr=False)
class Start(Result):
    """What an export is, and the files that were written for it.

    Attributes:
        reader: the reader that recognises it.
        plates: names of the plates.
        wells, fields: how many have images, over all plates; 0 for an export of cells.
        cells: number of cells, for an export of cells.
        channels: channels that every plate has.
        pixel_size_um: edge of a pixel.
        nuclei: the channel that shows nuclei.
        diameter_px: diameter of a nucleus.
        tile_px: edge of a tile.
        conditions: number of conditions in the plate map.
        written: the files that were written.
        missing: sentences on images that are missing or damaged.
        notes: what was chosen and guessed.
        then: the next commands to type.
    """

    reader: str
    plates: tuple[str, ...] = ()
    wells: int | None = None
    fields: int | None = None
    cells: int | None = None
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    nuclei: str | None = None
    diameter_px: float | None = None
    tile_px: int | None = None
    conditions: int | None = None
    written: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    then: tuple[str, ...] = field(default=(), metadata=LINES)


def init(
    export: Path | str,
    out: Path | str | None = None,
    *,
    platemap: Path | str | None = None,
    omics: Path | str | None = None,
    reader: str | None = None,
) -> Start:
    """Recognise an export and write ``ingest.yaml`` and ``train.yaml``.

    With an omics table also ``heads.yaml``, where there are wells enough to learn from; without a plate map, a template
    of one.

    Args:
        export: the folder of a microscope's export, or a file in it.
        out: folder to write; default: a folder with the name of the plate, in the working folder. Where that is the
            export itself, ``_wellstream`` is added: nothing is written among its images.
        platemap: table of what was done to each well; without it all wells count as treated in the same way.
        omics: table of gene values for the same conditions.
        reader: the reader to use, if several recognise the export.

    Raises:
        InputError: no reader recognises the export, or several do; the message says what was found and which readers
            came close. Or a plate map that cannot be read, or output files that exist already.
    """
    found = start.find_export(str(export), reader)
    name = found.plates[0].listing.plate if isinstance(found, start.PlatesFound) else Path(export).resolve().stem
    folder = Path(out) if out is not None else _folder_of(name, Path(export))
    _check_free(folder)
    if isinstance(found, start.PlatesFound):
        return _plates(found, name, folder, platemap, omics)
    if platemap is not None or omics is not None:
        raise InputError(
            f"{export}: holds cells that are cropped already (reader '{found.reader}'), which have no plate map; leave "
            "--platemap and --omics out, and name tables of cells in the config"
        )
    return _cells(found, name, folder)


def _plates(
    found: start.PlatesFound, name: str, folder: Path, platemap: Path | str | None, omics: Path | str | None
) -> Start:
    exports, measured = [one.listing for one in found.plates], found.measured
    notes = [f"{found.reader}: {found.why}", *found.apart]
    template = folder / "platemap.csv"
    if platemap is not None:
        mapped = start.read_given(str(platemap), exports)
        notes += mapped.notes
    else:
        mapped = start.Mapped(options={"path": str(template)}, conditions={})
        notes.append(f"no plate map: {template} says that every well was treated alike; write into it what was given")
    entry = start.omics_entry(str(omics), mapped.conditions) if omics is not None else None
    notes += _told_of(entry) if entry is not None else []
    notes += [f"{made.key} {made.taken} is taken: {made.said}" for one in found.plates for made in one.choices]
    if not measured.seen:
        notes.append("no nucleus was seen: the diameter in the config is a usual one")
    text = start.ingest_yaml(found, name, mapped, entry)
    fields = sum(len(one.sites()) for one in exports)
    facts = RecipeFacts(
        dataset=str(folder / "dataset"),
        run_dir=str(folder / "run"),
        channels=measured.channels,
        tiles=round(measured.per_field * fields),
        tile_px=measured.tile_px,
        conditions=mapped.conditions,
        by=WELL,
    )
    files = {"ingest.yaml": text, "train.yaml": recipe(facts)}
    heads = entry is not None and entry.usable and tells_apart(facts)
    if heads and entry is not None:
        files["heads.yaml"] = heads_recipe(
            facts, entry.targets, run_dir=str(folder / "heads"), embeddings=str(folder / "cells.h5ad")
        )
    elif entry is not None and entry.usable:
        notes.insert(1, "too few wells per condition to learn genes from images: no heads.yaml is written")
    files |= {} if platemap is not None else {template.name: start.template(exports)}
    return Start(
        reader=found.reader,
        plates=tuple(one.plate for one in exports),
        wells=sum(len(one.wells()) for one in exports),
        fields=fields,
        channels=measured.channels,
        pixel_size_um=measured.pixel_size_um,
        nuclei=measured.nuclei,
        diameter_px=round(measured.diameter_px, 1),
        tile_px=measured.tile_px,
        conditions=len(mapped.conditions) or None,
        written=_write(folder, files),
        missing=_counted([problem.detail for one in exports for problem in one.problems] + [*measured.problems]),
        notes=tuple(notes),
        then=(*_then(folder), *(_then_heads(folder) if heads else ())),
    )


def _told_of(entry: start.OmicsEntry) -> list[str]:
    path = entry.options["table"]
    if entry.usable:
        return [f"{path}: {note}" for note in entry.notes]
    return [f"{path} cannot be read so far, so its entry is a comment in ingest.yaml: {entry.notes[-1]}"]


def _cells(found: start.CellsFound, name: str, folder: Path) -> Start:
    facts = RecipeFacts(
        dataset=str(folder / "dataset"),
        run_dir=str(folder / "run"),
        channels=found.channels,
        tiles=found.count,
        tile_px=found.tile_px,
        conditions={},
        by=SOURCE,
    )
    files = {"ingest.yaml": start.ingest_yaml(found, name), "train.yaml": recipe(facts)}
    return Start(
        reader=found.reader,
        cells=found.count,
        channels=found.channels,
        pixel_size_um=found.exports[0].listing.pixel_size_um,
        tile_px=found.tile_px,
        written=_write(folder, files),
        missing=_counted([problem.detail for one in found.exports for problem in one.listing.problems]),
        notes=(f"{found.reader}: {found.why}",),
        then=_then(folder),
    )


def _folder_of(name: str, export: Path) -> Path:
    """Return a folder with the name of an export in the working folder, but never one that holds its images."""
    folder = Path("".join(c if c.isalnum() or c in "-_." else "_" for c in name))
    root = (export if export.is_dir() else export.parent).resolve()
    of_export = folder.is_dir() and root in (folder.resolve(), *folder.resolve().parents)
    return folder.with_name(f"{folder.name}_wellstream") if of_export and not _written(folder) else folder


def _written(folder: Path) -> list[str]:
    return [name for name in ("ingest.yaml", "train.yaml", "heads.yaml", "platemap.csv") if (folder / name).exists()]


def _check_free(folder: Path) -> None:
    there = _written(folder)
    if there:
        raise InputError(f"{folder / there[0]}: exists already and is not overwritten; name another folder with --out")
    check_output_folder(folder)


def _write(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_text(folder / name, text)
    return tuple(str(folder / name) for name in files)


def _counted(sentences: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentences))


def _then(folder: Path) -> tuple[str, ...]:
    return (
        f"wellstream ingest {folder}/ingest.yaml --out {folder}/dataset --dry-run",
        f"wellstream ingest {folder}/ingest.yaml --out {folder}/dataset",
        f"wellstream train {folder}/train.yaml",
    )


def _then_heads(folder: Path) -> tuple[str, ...]:
    return (
        f"wellstream embed {folder}/run --out {folder}/cells.h5ad",
        f"wellstream train {folder}/heads.yaml",
    )
