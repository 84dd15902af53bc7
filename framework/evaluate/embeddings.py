"""Files of embeddings made comparable (CORAL), and read by features that people can name (canonical correlation)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import SOURCE
from framework.durable import write_with
from framework.errors import ConfigError, InputError, RunError, sentence_of
from framework.evaluate.alignment import Coral, batch_in_components
from framework.evaluate.canonical import Canonical, canonical
from framework.evaluate.wells import negative_controls, stimulations, well_embeddings, well_means
from framework.files.h5_writing import write_h5ad
from framework.files.h5ad import read_h5ad
from framework.files.outputs import check_output_file, check_output_folder
from framework.result import Result

Floats = npt.NDArray[np.float64]
By = Literal["plates", "authors"]
BY = ("plates", "authors")
FEWEST = 10
"""Wells that two tables must share to be correlated."""


@dataclass(frozen=True, kw_only=True, repr=False)
class AlignSummary(Result):
    """Embeddings of wells that were aligned.

    Attributes:
        file: the ``.h5ad``.
        rows: wells.
        columns: length of a vector.
        by: what was aligned: ``plates`` or ``authors``.
        groups: groups that were aligned.
        batch_before: share of the variance of the negative controls that lies between plates, within a stimulation.
        batch_after: the same afterwards.
        notes: groups that stayed as they were, and why.
    """

    file: Path
    rows: int
    columns: int
    by: str
    groups: int
    batch_before: float | None
    batch_after: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class CorrelateSummary(Result):
    """Two sets of features that were correlated.

    Attributes:
        folder: with ``correlations.csv``, ``loadings.csv`` and ``similarity.csv``.
        wells: wells that both tables have.
        correlations: correlations of the pairs of canonical variates.
        by_chance: the 95 % quantile of each where the wells of one table are shuffled.
        most: the most similar feature of the second table, for each pair of variates.
    """

    folder: Path
    wells: int
    correlations: tuple[float, ...]
    by_chance: tuple[float, ...]
    most: tuple[str, ...]


def aligned(vectors: Floats, wells: pd.DataFrame, by: By) -> tuple[Floats, list[str], int]:
    """Align embeddings of wells by CORAL on their negative controls.

    Args:
        vectors: (B, D), standardised: CORAL adds 1 to the variance of each.
        wells: their rows of the bag table.
        by: ``plates``: each plate gets mean and covariance that controls of its stimulation have over all plates;
            ``authors``: each stimulation gets the covariance that controls have in all of them.

    Returns:
        Moved vectors, groups that stayed and why, and the number of groups that moved.
    """
    control, state = negative_controls(wells), stimulations(wells)
    if not control.any():
        return (
            vectors,
            ["no well is a negative control (Metadata_Control_Type negcon), so CORAL has nothing to align"],
            0,
        )
    moved, notes = vectors.copy(), []
    by_plate = by == "plates"
    keys = wells[SOURCE].astype(str) + "\t" + state if by_plate else state
    groups = sorted(set(keys))
    for key in groups:
        mine = (keys == key).to_numpy()
        like = control & (state == key.split("\t")[-1]).to_numpy() if by_plate else control
        if (mine & control).sum() < 2 or like.sum() < 2:
            named = ", ".join(part for part in key.split("\t") if part) or "all wells"
            notes.append(f"{named}: fewer than two negative controls, not aligned")
            continue
        moved[mine] = Coral.fit(vectors[mine & control], vectors[like], means=by_plate).apply(vectors[mine])
    return moved, notes, len(groups) - len(notes)


def standard(vectors: Floats) -> Floats:
    """Return vectors (n, d) whose features have mean 0 and variance 1; constant features become 0."""
    centred = vectors - vectors.mean(axis=0)
    sd = centred.std(axis=0)
    scaled: Floats = np.divide(centred, sd, out=np.zeros_like(centred), where=sd > 0)
    return scaled


def align(embeddings: Path | str, out: Path | str, *, by: str = "plates") -> AlignSummary:
    """Align embeddings of wells by CORAL on the negative controls (Sun, Feng and Saenko 2016), as Image2Omics does.

    Args:
        embeddings: file of ``embed``, of wells or of tiles, which are averaged.
        out: ``.h5ad`` to write: one row per well, in the units of the input.
        by: ``plates`` or ``authors``, see ``aligned``.

    Returns:
        What was written, and how much of the controls' variance is a matter of the plate, before and after.

    Raises:
        ConfigError: no such way, no name of an ``.h5ad``, or that of the input.
        InputError: no embeddings, or values that are not numbers.
    """
    if by not in BY:
        raise ConfigError(f"by: expected one of: {', '.join(BY)}, found '{by}'")
    check_output_file(out, ".h5ad", [embeddings])
    data = _read(embeddings)
    table = well_embeddings(data)
    _check_finite(embeddings, table.vectors)
    centre, sd = table.vectors.mean(axis=0), table.vectors.std(axis=0)
    scaled = standard(table.vectors)
    moved, notes, groups = aligned(scaled, table.wells, "plates" if by == "plates" else "authors")
    rows = table.wells.drop(columns=[name for name in _OF_TILES if name in table.wells.columns])
    # As ``embed`` names them, so that both are known as the same wells.
    rows.index = pd.Index([f"bag-{number}" for number in (rows["bag"] if "bag" in rows else range(len(rows)))])
    facts = {key: value for key, value in data.uns.get("wellstream", {}).items() if isinstance(value, str | int)}
    made = anndata.AnnData((moved * sd + centre).astype(np.float32), rows, data.var.copy())
    made.uns["wellstream"] = facts | {"kind": "embeddings", "level": "bag", "coral": by}
    _with_folder(Path(out))
    write_h5ad(Path(out), made)
    return AlignSummary(
        file=Path(out), rows=len(rows), columns=moved.shape[1], by=by, groups=groups,
        batch_before=_batch(scaled, table.wells), batch_after=_batch(moved, table.wells), notes=tuple(notes),
    )  # fmt: skip


_OF_TILES = ("tile", "site", "y_px", "x_px", "attention")


def _batch(vectors: Floats, wells: pd.DataFrame) -> float | None:
    """Return the share of the variance of controls that lies between plates, stimulations made equal first."""
    control = negative_controls(wells)
    if control.sum() < 2:
        return None
    values, state = vectors[control].copy(), stimulations(wells)[control].to_numpy()
    for name in set(state):
        values[state == name] -= values[state == name].mean(axis=0)
    found = batch_in_components(values, wells[SOURCE].astype(str)[control].to_numpy(), values.shape[1])
    total = float(found["variance_share"].sum())
    return float((found["variance_share"] * found["batch_share"]).sum()) / total if total > 0 else None


def correlate(
    learned: Path | str,
    measured: Path | str,
    out: Path | str,
    *,
    pairs: int = 3,
    shuffles: int = 200,
    seed: int = 0,
) -> CorrelateSummary:
    """Correlate learned features with interpretable ones, well by well (canonical correlation, Hotelling 1936).

    ``correlations.csv`` has each pair of variates with what chance gives; ``loadings.csv`` the correlation of each
    feature with the variates of its own table; ``similarity.csv`` that of each measured feature (row) with each
    learned one (column) in the space of the first ``pairs``, -1..1.

    Args:
        learned: file of ``embed`` or ``align``.
        measured: file of ``features``, of the same dataset.
        out: folder to write.
        pairs: pairs of variates that the similarity is taken over.
        shuffles: shuffles of the wells of one table, for what chance gives.
        seed: seed of the shuffles.

    Raises:
        ConfigError: a number out of range.
        InputError: files of other wells, too few wells, or no feature that varies.
    """
    if pairs < 1 or shuffles < 1:
        raise ConfigError(f"expected pairs >= 1 and shuffles >= 1, found {pairs} and {shuffles}")
    check_output_folder(out)
    left, right = matched(well_means(_read(learned)), well_means(_read(measured)), (str(learned), str(measured)))
    x, y = left.to_numpy(np.float64), right.to_numpy(np.float64)
    found = canonical(x, y, pairs)
    random = np.random.default_rng(seed)
    chance = np.array([canonical(x, y[random.permutation(len(y))], pairs).correlations for _ in range(shuffles)])
    limits = np.quantile(chance, 0.95, axis=0)
    for name, table in _tables(found, limits, left.columns, right.columns).items():
        file = Path(out) / f"{name}.csv"
        _with_folder(file)
        write_with(file, partial(table.to_csv, index=False, lineterminator="\n"))
    strongest = np.abs(found.loadings[1][:, :pairs]).argmax(axis=0)
    return CorrelateSummary(
        folder=Path(out),
        wells=len(left),
        correlations=tuple(map(float, found.correlations[:pairs])),
        by_chance=tuple(map(float, limits[:pairs])),
        most=tuple(
            f"{right.columns[place]} ({found.loadings[1][place, pair]:+.2f})" for pair, place in enumerate(strongest)
        ),
    )


def _tables(found: Canonical, limits: Floats, learned: pd.Index, measured: pd.Index) -> dict[str, pd.DataFrame]:
    numbers = range(1, len(found.correlations) + 1)
    pairs = [f"pair_{number}" for number in numbers]
    loadings = [
        pd.DataFrame(values, columns=pairs).assign(table=side, feature=list(names))[["table", "feature", *pairs]]
        for side, values, names in zip(("learned", "measured"), found.loadings, (learned, measured), strict=True)
    ]
    similarity = pd.DataFrame(found.similarity, measured, learned).rename_axis("feature")
    return {
        "correlations": pd.DataFrame({"pair": numbers, "correlation": found.correlations, "by_chance_95": limits}),
        "loadings": pd.concat(loadings),
        "similarity": similarity.reset_index(),
    }


def matched(learned: pd.DataFrame, measured: pd.DataFrame, files: tuple[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two tables of ``well_means`` reduced to the wells that both have. Raises InputError with too few."""
    both = learned.index.intersection(measured.index)
    if len(both) < FEWEST:
        raise InputError(
            f"{files[0]} and {files[1]} have {len(both)} wells in common; expected at least {FEWEST}: make both from "
            "one dataset"
        )
    return learned.loc[both], measured.loc[both]


def _read(file: Path | str) -> anndata.AnnData:
    what = "embeddings or features (.h5ad)"
    data = read_h5ad(file, error=InputError, what=what, then="write it again with wellstream embed or features")
    facts = data.uns.get("wellstream")
    kind = facts.get("kind") if isinstance(facts, Mapping) else None
    if kind not in ("embeddings", "features"):
        raise InputError(f"{file}: expected {what} of wellstream embed, align or features, found kind '{kind}'")
    if not data.n_obs:
        raise InputError(f"{file}: has no rows")
    return data


def _check_finite(file: Path | str, vectors: Floats) -> None:
    if not np.isfinite(vectors).all():
        row, column = np.argwhere(~np.isfinite(vectors))[0]
        raise InputError(f"{file}: well {row + 1}, feature {column + 1} is {vectors[row, column]}; expected a number")


def _with_folder(out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot make its folder: {sentence_of(error)}") from None
