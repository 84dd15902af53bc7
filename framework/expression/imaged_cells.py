"""The imaging side: marker predictions opened, gated, and scaled to the range the forest knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.markers import Floats, MarkerRange
from framework.errors import InputError, did_you_mean
from framework.evaluate.predictions import TEST, open_predictions
from framework.expression.config import ImagedCells

STANDARD, LABEL_FREE = "standard", "label_free"
MODES = (STANDARD, LABEL_FREE)


@dataclass(frozen=True, kw_only=True)
class Imaged:
    """Imaged cells.

    Attributes:
        rows: (c,) one row per cell: where it was imaged.
        measured: (c, d) markers as measured; NaN rows have been left out.
        predicted: (c, d) markers as the network reads them from the image.
        scaled: mode -> float64 (c, d), what the forest is asked.
        population: (c,) by the gates on measured markers.
        left_out: cells without a measured marker.
        dataset_digest: names the pixels they were predicted from; empty where the file does not say.
    """

    rows: pd.DataFrame
    measured: Floats
    predicted: Floats
    scaled: dict[str, Floats]
    population: pd.Categorical
    left_out: int
    dataset_digest: str


def open_imaged_cells(config: ImagedCells, markers: tuple[str, ...]) -> Imaged:
    """Read the cells of ``config.predictions`` that have every marker.

    Args:
        config: the imaging side.
        markers: as the single-cell side names them.

    Raises:
        InputError: not predictions of cells, a marker missing, no cell with all markers, gates that overlap.
    """
    source = open_predictions(Path(config.predictions))
    if source.level != "tile":
        raise InputError(
            f"{config.predictions}: predicts bags; expected a marker regression of cells (wellstream predict RUN)"
        )
    found = source.genes()
    wanted = [config.names.get(marker, marker) for marker in markers]
    for name in wanted:
        if name not in found:
            raise InputError(
                f"{config.predictions}: predicts no marker '{name}'{did_you_mean(name, found)}; found: "
                f"{', '.join(found)}; map names with images.names"
            )
    columns = [found.index(name) for name in wanted]
    chosen = source.part(TEST) if config.part == "test" else np.ones(len(source.rows), dtype=np.bool_)
    complete = np.isfinite(source.measured[:, columns]).all(axis=1)
    kept = np.flatnonzero(chosen & complete)
    if not len(kept):
        raise InputError(
            f"{config.predictions}: no cell of part '{config.part}' has all of {', '.join(wanted)} measured"
        )
    measured, predicted = source.measured[kept][:, columns], source.predicted[kept][:, columns]
    return Imaged(
        rows=source.rows.iloc[kept].reset_index(drop=True),
        measured=measured,
        predicted=predicted,
        scaled=_scaled(config, markers, measured, predicted),
        population=_populations(config, markers, measured),
        left_out=int((chosen & ~complete).sum()),
        dataset_digest=str(source.facts.get("dataset_digest", "")),
    )


def _scaled(config: ImagedCells, markers: tuple[str, ...], measured: Floats, predicted: Floats) -> dict[str, Floats]:
    scaled = {mode: np.empty_like(measured) for mode in MODES}
    for column, marker in enumerate(markers):
        truth = MarkerRange.fit(marker, measured[:, column], config.transform)
        guess = truth
        if config.label_free_range == "predicted":
            guess = MarkerRange.fit(f"{marker} (predicted)", predicted[:, column], config.transform)
        scaled[STANDARD][:, column] = truth.apply(measured[:, column])
        scaled[LABEL_FREE][:, column] = guess.apply(predicted[:, column])
    return scaled


def _populations(config: ImagedCells, markers: tuple[str, ...], measured: npt.NDArray[np.float64]) -> pd.Categorical:
    if config.gates is None:
        return pd.Categorical(["all"] * len(measured))
    names = dict(zip(markers, measured.T, strict=True))
    names |= {config.names[marker]: values for marker, values in names.items() if marker in config.names}
    return config.gates.assign(names, config.predictions)
