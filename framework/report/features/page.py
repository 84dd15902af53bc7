"""The page of a comparison of feature sets: what the evaluation holds, and pictures of the feature spaces."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.store import TileStore, dataset_digest
from framework.durable import write_text, write_with
from framework.errors import InputError
from framework.evaluate import Evaluation, read_evaluation
from framework.features import FeatureTable
from framework.features.neighbours import standardise
from framework.features.profiles import mean_profiles, spread_sample
from framework.features.table import column
from framework.format import count
from framework.progress import OnProgress
from framework.report.features.figures_profiles import cell_dendrogram, cell_maps, profile_heat_map, protein_map
from framework.report.features.sections import compared
from framework.report.figures.embedding import project
from framework.report.figures.images import composite
from framework.report.page import Block, Facts, Note, Picture, Section, render_page

PAGE_NAME = "report.html"
FIGURES = "figures"

_MAPS = 6
_MAP_CELLS = 3_000
_TREE_CELLS = 36
_CELL_NEIGHBOURS, _PROTEIN_NEIGHBOURS, _MIN_DIST = 30, 20, 0.3


def write_feature_report(
    folder: Path | str,
    tables: Sequence[FeatureTable],
    *,
    dataset: Path | str | None = None,
    progress: OnProgress | None = None,
) -> Path:
    """Write ``report.html`` and ``figures/`` into an evaluation folder of kind ``features``.

    Args:
        folder: folder of ``wellstream evaluate-features``.
        tables: the feature sets that were compared, in the same order.
        dataset: where the cells come from, for crops.
        progress: called with (stage, done, total).

    Returns:
        The page. Equal inputs give equal bytes.

    Raises:
        InputError: not such a folder, other feature sets than it was made from, or another dataset.
    """
    target = Path(folder)
    evaluation = read_evaluation(target)
    names = [row.get("set") for row in evaluation.summary.get("rows", []) if "missing" not in row]
    if names != [table.name for table in tables]:
        raise InputError(f"{target}: not the evaluation of {', '.join(table.name for table in tables)}; evaluate again")
    opened = Dataset.open(dataset) if dataset is not None else None
    if opened is not None and tables[0].digest and tables[0].digest != dataset_digest(opened):
        raise InputError(f"{tables[0].file} was made from another dataset than {opened.root}")
    sections = [*compared(evaluation), *_spaces(evaluation, tables, opened, progress), _made_from(evaluation)]
    page = target / PAGE_NAME
    title = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
    label = evaluation.summary["options"]["label"]
    write_text(page, render_page(title, f"Feature sets compared by {label}", sections))
    _write_figures(target / FIGURES, sections)
    return page


def _spaces(
    evaluation: Evaluation, tables: Sequence[FeatureTable], dataset: Dataset | None, progress: OnProgress | None
) -> list[Section]:
    """Maps of cells, average proteins, and the tree of single cells."""
    cells = evaluation.tables["per_cell"]
    rows = tables[0].cells.index.get_indexer(pd.Index(cells["cell"].astype(str)))
    labels = cells["class"].astype(str).to_numpy()
    codes = np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)
    sample = spread_sample(codes, _MAP_CELLS)
    shown = list(tables[:_MAPS])
    points, method = {}, "PCA"
    for done, table in enumerate(shown):
        if progress:
            progress("maps", done, len(shown))
        scaled, _ = standardise(table.values[rows[sample]])
        points[table.name], method = project(scaled, neighbours=_CELL_NEIGHBOURS, min_dist=_MIN_DIST, repulsion=5)
    if progress:
        progress("maps", len(shown), len(shown))
    blocks: list[Block] = [cell_maps(points, method, labels[sample].tolist())]
    if len(tables) > _MAPS:
        blocks.append(Note(text=f"The first {_MAPS} of {len(tables)} feature sets are drawn."))
    blocks.append(_tree(evaluation, tables, rows, codes, labels, dataset))
    maps = Section(anchor="maps", title="Maps of cells", lead="What lies near what?", blocks=blocks)
    return [maps, *_proteins(evaluation, tables, rows, labels)]


def _best(evaluation: Evaluation, tables: Sequence[FeatureTable]) -> FeatureTable:
    score = {row["set"]: row["knn"] for row in evaluation.summary["rows"] if "missing" not in row}
    return max(tables, key=lambda table: float(score[table.name]))


def _tree(
    evaluation: Evaluation,
    tables: Sequence[FeatureTable],
    rows: npt.NDArray[np.intp],
    codes: npt.NDArray[np.int64],
    labels: npt.NDArray[np.object_],
    dataset: Dataset | None,
) -> Picture:
    table = _best(evaluation, tables)
    scaled, _ = standardise(table.values[rows])
    sample = spread_sample(codes, _TREE_CELLS)
    crops = None
    if dataset is not None and "tile" in tables[0].cells.columns:
        tiles = tables[0].cells["tile"].to_numpy(dtype=np.int64)[rows[sample]]
        store = TileStore(dataset, dataset.manifest.tile.channels[:4])
        buffer = np.empty((len(tiles), *store.sample_shape), dtype=store.dtype)
        store.gather(tiles, buffer)
        crops = composite(buffer, store.channels, dataset.manifest.channel_statistics)
    pixel_um = dataset.manifest.pixel_size_um if dataset is not None else None
    return cell_dendrogram(scaled[sample].astype(np.float64), crops, labels[sample].tolist(), table.name, pixel_um)


def _proteins(
    evaluation: Evaluation, tables: Sequence[FeatureTable], rows: npt.NDArray[np.intp], labels: npt.NDArray[np.object_]
) -> list[Section]:
    """Average cells; none without a column of proteins, or with fewer than three of them."""
    options = evaluation.summary["options"]
    name = options.get("protein") or options["label"]
    proteins = column(tables[0], name).fillna("").iloc[rows].to_numpy(dtype=str)
    known, key = np.unique(proteins, return_inverse=True)
    if len(known) < 3:
        return []
    table = _best(evaluation, tables)
    scaled, _ = standardise(table.values[rows])
    profiles = mean_profiles(scaled, np.asarray(key, dtype=np.int64), len(known))
    names = [str(item) for item in known]
    points, method = project(profiles, neighbours=_PROTEIN_NEIGHBOURS, min_dist=_MIN_DIST, repulsion=5)
    by_label = None
    if name != options["label"]:
        # A protein is coloured by the commonest label of its cells.
        by_label = [_commonest(labels[proteins == protein]) for protein in names]
    return [
        Section(
            anchor="proteins",
            title="Average cells",
            lead=f"Which values of {name} have like average cells?",
            blocks=[
                profile_heat_map(profiles, names, table.name),
                protein_map(points, method, names, by_label, table.name),
            ],
        )
    ]


def _commonest(labels: npt.NDArray[np.object_]) -> str:
    names, counts = np.unique(labels.astype(str), return_counts=True)
    return str(names[counts.argmax()])


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _made_from(evaluation: Evaluation) -> Section:
    summary = evaluation.summary
    options = [(key, _said(value)) for key, value in summary["options"].items() if value not in (None, [])]
    files = [(str(item["set"]), f"{item['file']} {item['features']}".strip()) for item in summary["files"]]
    counts = [
        ("cells", count(summary["n_cells"])),
        ("scored", count(summary["n_test"])),
        ("fields", count(summary["n_fields"])),
    ]
    return Section(
        anchor="made-from",
        title="Made from",
        lead="Everything that determines the numbers above.",
        blocks=[
            Facts(items=files, title="Files"),
            Facts(items=counts, title="Cells"),
            Facts(items=options, title="Options"),
        ],
    )


def _write_figures(folder: Path, sections: Sequence[Section]) -> None:
    """Write each figure of the page as a file, ``features-1.svg`` and so on; figures of an earlier page go."""
    folder.mkdir(exist_ok=True)
    for old in (*folder.glob("*.svg"), *folder.glob("*.png")):
        old.unlink()
    for section in sections:
        pictures = [block for block in section.blocks if isinstance(block, Picture)]
        for number, picture in enumerate(pictures, start=1):
            head, _, body = picture.source.partition(",")
            content = base64.b64decode(body) if head.endswith("base64") else urllib.parse.unquote_to_bytes(body)
            file = folder / f"{section.anchor}-{number}.{'svg' if 'svg' in head else 'png'}"
            write_with(file, partial(Path.write_bytes, data=content))
