"""Section about nuclei: fields with what was found in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.data.dataset import Dataset
from framework.data.format.schema import CELLS_NAME
from framework.format import count, percent
from framework.report.figures.images import overview
from framework.report.kept_figures import evenly, kept_figures
from framework.report.page import Block, Grid, Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_OVERVIEWS = 4
_NUCLEUS_UM = 12.0


@SECTIONS.register("nuclei", SectionConfig)
class NucleiSection(ReportSection):
    """Fields with their nuclei."""

    order = 60

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        if inputs.dataset is None:
            return Note(
                text="Nuclei: the dataset was not given.",
                command=f"wellstream report {inputs.run.path_shown} --data DATASET",
            )
        return nuclei(inputs.dataset) or Note(
            text="Nuclei: the dataset keeps no field overviews (qc/index.json); ingest from raw fields makes them.",
            command="wellstream ingest CONFIG",
        )


def nuclei(dataset: Dataset) -> Section | None:
    """Return fields with their nuclei; None when ingest kept no overview."""
    entries = _fields(dataset)
    if not entries or not dataset.file(CELLS_NAME).is_file():
        return None
    table = dataset.cells()
    blocks: list[Block] = []
    for entry in (entries[position] for position in evenly(0, len(entries), _OVERVIEWS)):
        here = table[(table["bag"] == int(entry["bag"])) & (table["site"] == int(entry["site"]))]
        title = f"{entry['plate']} {entry['well']}, site {entry['site']}, {entry['channel']}"
        blocks.append(
            overview(
                dataset.file(entry["file"]),
                here,
                float(entry["scale"]),
                _diameter_px(dataset),
                title,
                dataset.manifest.pixel_size_um,
            )
        )
    counts = table["status"].astype(str).value_counts()
    blocks.append(
        Grid(
            headers=("what became of a nucleus", "nuclei", "share"),
            rows=[(str(name), count(int(n)), percent(n / len(table))) for name, n in counts.items()],
            numeric=frozenset({1, 2}),
            caption="Every nucleus found, in all wells: those with a tile, and why the others have none.",
        )
    )
    return Section(anchor="nuclei", title="Nuclei", lead="Were the cells found?", blocks=blocks)


def _diameter_px(dataset: Dataset) -> float:
    """Return the nucleus diameter the ingest expected, else the usual 12 um, else a quarter of a tile."""
    config = dataset.manifest.source.get("nuclei", {})
    found = config if isinstance(config, Mapping) else {}
    pixel_um = dataset.manifest.pixel_size_um
    if found.get("diameter_px"):
        return float(found["diameter_px"])
    if pixel_um:
        return float(found.get("diameter_um") or _NUCLEUS_UM) / pixel_um
    return dataset.manifest.tile.width / 4


def _fields(dataset: Dataset) -> list[Mapping[str, Any]]:
    """Return one overview a field: in the channel nuclei were looked for, else in the first kept."""
    nuclear = dataset.manifest.source.get("nuclei", {})
    wanted = nuclear.get("channel") if isinstance(nuclear, Mapping) else None
    chosen: dict[tuple[int, int], Mapping[str, Any]] = {}
    for entry in kept_figures(dataset, "overviews", ("file", "plate", "well", "site", "bag", "channel", "scale")):
        key = (int(entry["bag"]), int(entry["site"]))
        if key not in chosen or entry["channel"] == wanted:
            chosen[key] = entry
    return [chosen[key] for key in sorted(chosen)]
