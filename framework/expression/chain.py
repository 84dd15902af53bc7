"""``express``: learn expression from markers on single cells, score it there, and give it to imaged cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LinearRegression

from framework import __version__
from framework.config import to_yaml
from framework.durable import replacing_files, write_json, write_text
from framework.evaluate.interval_layers import calibrated
from framework.evaluate.intervals import bootstrap_columns
from framework.evaluate.metrics import pearson
from framework.expression.calibration import Calibration, need_held_out
from framework.expression.config import ExpressionConfig
from framework.expression.forest import MedianForest, Pool, fit_forest
from framework.expression.imaged_cells import LABEL_FREE, MODES, STANDARD, Imaged, open_imaged_cells
from framework.expression.populations import agreement, population_means, similarities
from framework.expression.scores import score_genes, spread_over_trees, summarise
from framework.expression.shown_maps import ShownMaps, shown_maps
from framework.expression.single_cells import SingleCells, open_single_cells
from framework.expression.truth import MEAN, open_truth, score_against_truth
from framework.files.csv_writing import write_csv
from framework.files.h5_writing import write_h5ad
from framework.files.outputs import check_output_folder
from framework.progress import OnProgress
from framework.result import Result

_SHOWN_CELLS = 5_000
"""Cells whose markers are kept for the report's gates; drawn by seed."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ExpressionSummary(Result):
    """What ``express`` found, as far as a screen can show it; the folder holds the rest.

    Attributes:
        out: the folder.
        single_cells: how many were learned from (``train``) and held out (``test``).
        genes, marker_genes: predicted.
        table: rows of ``summary.csv`` for all genes and for marker genes.
        imaged_cells: cells given expression, 0 without an imaging side.
        notes: sentences a reader must know.
    """

    out: str
    single_cells: dict[str, int]
    genes: int
    marker_genes: int
    table: tuple[dict[str, Any], ...]
    imaged_cells: int
    notes: tuple[str, ...] = ()


def express(
    config: ExpressionConfig,
    out: Path | str,
    *,
    pool: Pool | None = None,
    progress: OnProgress | None = None,
) -> ExpressionSummary:
    """Run the chain of IFC-seq from prepared single cells and predicted markers to expression per imaged cell.

    Writes into ``out``: ``config.yaml``, ``per_gene.csv``, ``summary.csv`` (IFC-seq, Tables 1 and 2),
    ``populations.csv``, ``similarity.csv``, ``cells.csv`` (markers and gates for the report), ``expression.json``; with
    an imaging side also ``agreement.csv``, ``markers.csv`` and ``expression_<mode>.h5ad``, ``saliency.npz``
    with maps, and ``truth.csv`` where the truth is known.

    Args:
        config: what to do.
        out: folder to write.
        pool: see ``fit_forest``.
        progress: called with (stage, done, total).

    Raises:
        InputError: input that cannot be used.
        OSError: the folder cannot be written; what an earlier call wrote stays whole.
    """
    folder = Path(out)
    check_output_folder(folder)
    cells = open_single_cells(config)
    need_held_out(cells, config.interval)
    imaged = open_imaged_cells(config.images, config.markers) if config.images else None
    truth, maps = _beside_images(config, cells, imaged)
    forest = _grown(config, cells, pool, progress)
    table = _score(config, cells, forest)
    known = None if config.interval is None else Calibration.of(cells, forest, config.interval, config.seed)
    if known is not None:
        table["covered"] = known.covered
    summary = summarise(table)
    means, held = _single_cell_means(cells, forest), {}
    with replacing_files(folder, "expression.json") as beside:
        write_csv(beside / "per_gene.csv", table)
        write_csv(beside / "summary.csv", summary)
        if imaged:
            means |= _write_imaged(config, cells, forest, imaged, known, beside, progress)
            write_csv(beside / "markers.csv", _markers(config, imaged))
            compared = [agreement(means["measured"], means[mode]).assign(source=mode) for mode in MODES]
            write_csv(beside / "agreement.csv", pd.concat(compared))
            if truth is not None:
                held = _against_truth(cells, forest, imaged, known, truth, beside)
        if maps is not None:
            maps.write(beside / "saliency.npz")
        _write_populations(means, beside)
        write_csv(beside / "cells.csv", _shown(config, cells, imaged))
        write_text(beside / "config.yaml", to_yaml(config))
        result = _summary(config, cells, imaged, summary, folder, known.notes(held) if known is not None else [])
        write_json(beside / "expression.json", _facts(result))
        _forget_earlier(folder)
    return result


def _grown(
    config: ExpressionConfig, cells: SingleCells, pool: Pool | None, progress: OnProgress | None
) -> MedianForest:
    """Return the forest of the training cells."""
    return fit_forest(
        cells.scaled[cells.train],
        cells.expression[cells.train],
        config.forest,
        config.seed,
        pool=pool,
        progress=(lambda done, total: progress("trees", done, total)) if progress else None,
    )


def _forget_earlier(folder: Path) -> None:
    """Remove what tells of an earlier call and may not be written by this one: a page would show both as one."""
    maybe = (f"{name}.csv" for name in ("agreement", "markers", "truth"))
    for name in ("expression.json", *maybe, "saliency.npz", *(f"expression_{mode}.h5ad" for mode in MODES)):
        (folder / name).unlink(missing_ok=True)


def _beside_images(
    config: ExpressionConfig, cells: SingleCells, imaged: Imaged | None
) -> tuple[npt.NDArray[np.float32] | None, ShownMaps | None]:
    """Return the truth about imaged cells and their maps, where the config names them, before anything is written."""
    images = config.images
    if imaged is None or images is None:
        return None, None
    truth = open_truth(images.truth, imaged.rows, cells.measured_genes()) if images.truth else None
    return truth, shown_maps(images, config.markers, imaged) if images.saliency else None


def _score(config: ExpressionConfig, cells: SingleCells, forest: MedianForest) -> pd.DataFrame:
    test, train = ~cells.train, cells.train
    measured = cells.expression[test]
    linear = LinearRegression().fit(cells.scaled[train], cells.expression[train])
    predicted = {
        "forest": forest.predict(cells.scaled[test]),
        "linear": linear.predict(cells.scaled[test]),
        "mean": np.broadcast_to(cells.expression[train].mean(axis=0), measured.shape),
    }
    marked = cells.marker_genes()
    table = score_genes(
        predicted,
        measured,
        np.array(cells.genes),
        cells.marker_of,
        chosen=marked if marked.any() else np.ones(len(marked), dtype=np.bool_),
        seed=config.seed,
        resamples=config.resamples,
    )
    table["spread"] = spread_over_trees(forest, cells.scaled[test], measured)
    return table


def _single_cell_means(cells: SingleCells, forest: MedianForest) -> dict[str, pd.DataFrame]:
    """Measured over all single cells, predicted over those held out; marker genes only."""
    genes = _reported(cells)
    names = np.array(cells.genes)[genes]
    test = np.flatnonzero(~cells.train)
    return {
        "measured": population_means(cells.expression[:, genes], cells.population, names),
        "predicted": population_means(forest.predict(cells.scaled[test])[:, genes], cells.population[test], names),
    }


def _reported(cells: SingleCells) -> npt.NDArray[np.int64]:
    marked = np.flatnonzero(cells.marker_genes())
    return marked if len(marked) else np.arange(len(cells.genes))


def _write_imaged(
    config: ExpressionConfig,
    cells: SingleCells,
    forest: MedianForest,
    imaged: Imaged,
    known: Calibration | None,
    folder: Path,
    progress: OnProgress | None,
) -> dict[str, pd.DataFrame]:
    """Write expression of imaged cells in both modes; return the population means of each."""
    genes = _reported(cells) if config.genes == "markers" else np.arange(len(cells.genes))
    var = pd.DataFrame({"marker_of": cells.marker_of[genes]}, index=np.array(cells.genes)[genes])
    obs = imaged.rows.assign(population=imaged.population)
    obs.index = obs.index.astype(str)
    narrowed = MedianForest(trees=forest.trees, cells=forest.cells[:, genes], markers=forest.markers)
    means = {}
    for done, mode in enumerate(MODES):
        if progress:
            progress("expression", done, len(MODES))
        values = narrowed.predict(imaged.scaled[mode])
        data = anndata.AnnData(X=values, obs=obs, var=var)
        data.obsm["markers"] = pd.DataFrame(imaged.scaled[mode], index=obs.index, columns=list(config.markers))
        data.uns["wellstream"] = {
            "kind": "expression",
            "mode": mode,
            "config": to_yaml(config),
            "versions": {"wellstream": __version__},
        }
        if known is not None:
            data = calibrated(data, known.errors[:, genes], known.level, sources=[Path(config.single_cell).name])
        write_h5ad(folder / f"expression_{mode}.h5ad", data)
        marked = np.isin(genes, _reported(cells))
        means[mode] = population_means(values[:, marked], imaged.population, var.index[marked])
    if progress:
        progress("expression", len(MODES), len(MODES))
    return means


def _against_truth(
    cells: SingleCells,
    forest: MedianForest,
    imaged: Imaged,
    known: Calibration | None,
    truth: npt.NDArray[np.float32],
    folder: Path,
) -> dict[str, npt.NDArray[np.float64]]:
    """Write scores of both chains and the mean predictor on every gene whose truth is known.

    Returns:
        Kind of markers -> share of the true values that intervals hold, per gene.
    """
    genes = truth.shape[1]
    predicted = {mode: forest.predict(imaged.scaled[mode])[:, :genes] for mode in MODES}
    held = {} if known is None else {mode: known.held(values, truth) for mode, values in predicted.items()}
    mean = cells.expression[cells.train, :genes].mean(axis=0)
    predicted[MEAN] = np.broadcast_to(mean, truth.shape)
    table = score_against_truth(predicted, truth, np.array(cells.genes)[:genes], cells.marker_of[:genes])
    write_csv(folder / "truth.csv", table.assign(**{f"covered_{mode}": share for mode, share in held.items()}))
    return held


def _markers(config: ExpressionConfig, imaged: Imaged) -> pd.DataFrame:
    """Return how well the network reads each marker, on the scale the forest is asked: r with a bootstrap interval."""
    guess, truth = imaged.scaled[LABEL_FREE], imaged.scaled[STANDARD]
    low, high, spread = bootstrap_columns(guess, truth, seed=config.seed, resamples=config.resamples)
    return pd.DataFrame(
        {
            "marker": config.markers,
            "r": pearson(guess, truth),
            "low": low,
            "high": high,
            "sd": spread,
            "cells": len(truth),
        }
    )


def _write_populations(means: dict[str, pd.DataFrame], folder: Path) -> None:
    """``populations.csv``: source, population, then one column per gene; ``similarity.csv``: pairs of populations."""
    populations = pd.concat(
        [table.rename_axis("population").reset_index().assign(source=source) for source, table in means.items()]
    )
    write_csv(folder / "populations.csv", populations.set_index(["source", "population"]), index=True)
    alike = pd.concat([similarities(table).assign(source=source) for source, table in means.items()])
    write_csv(folder / "similarity.csv", alike)


def _shown(config: ExpressionConfig, cells: SingleCells, imaged: Imaged | None) -> pd.DataFrame:
    parts = [_drawn(config, "single cells", cells.scaled, cells.population)]
    if imaged:
        parts += [_drawn(config, mode, imaged.scaled[mode], imaged.population) for mode in MODES]
    return pd.concat(parts, ignore_index=True)


def _drawn(
    config: ExpressionConfig, source: str, scaled: npt.NDArray[np.float64], population: pd.Categorical
) -> pd.DataFrame:
    order = np.sort(np.random.default_rng(config.seed).permutation(len(scaled))[:_SHOWN_CELLS])
    table = pd.DataFrame(scaled[order], columns=list(config.markers))
    return table.assign(population=np.asarray(population)[order], source=source)


def _summary(
    config: ExpressionConfig,
    cells: SingleCells,
    imaged: Imaged | None,
    summary: pd.DataFrame,
    folder: Path,
    more_notes: Sequence[str],
) -> ExpressionSummary:
    shown = summary[summary["genes"].isin(("all", "marker genes")) & (summary["n"] > 0)]
    notes = [*cells.notes, *more_notes]
    if imaged and imaged.left_out:
        notes.append(f"{imaged.left_out} imaged cells were left out: a marker was not measured")
    if not cells.marker_genes().any():
        notes.append("no gene marks a population: prepare with gates to see marker genes apart")
    if config.scale == "part":
        notes.append(
            "each part is scaled by its own range, as in the authors' code: the test part sees its own extremes"
        )
    return ExpressionSummary(
        out=str(folder),
        single_cells={"train": int(cells.train.sum()), "test": int((~cells.train).sum())},
        genes=len(cells.genes),
        marker_genes=int(cells.marker_genes().sum()),
        table=tuple({str(key): value for key, value in row.items()} for row in shown.to_dict("records")),
        imaged_cells=len(imaged.rows) if imaged else 0,
        notes=tuple(notes),
    )


def _facts(summary: ExpressionSummary) -> dict[str, Any]:
    return {
        "single_cells": summary.single_cells,
        "genes": summary.genes,
        "marker_genes": summary.marker_genes,
        "imaged_cells": summary.imaged_cells,
        "notes": list(summary.notes),
    }
