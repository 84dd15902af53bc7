"""Summaries of the commands that use a trained run or measure tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framework.result import Result


@dataclass(frozen=True, kw_only=True, repr=False)
class EmbedSummary(Result):
    """Embeddings that were written.

    Attributes:
        file: the ``.h5ad``.
        rows: tiles or bags.
        columns: length of a vector.
        level: ``tile`` or ``bag``.
        step: completed steps of the weights.
    """

    file: Path
    rows: int
    columns: int
    level: str
    step: int


@dataclass(frozen=True, kw_only=True, repr=False)
class LayersSummary(Result):
    """Pooled layers that were written.

    Attributes:
        files: one ``.h5ad`` per layer.
        rows: tiles.
        pool: how a map became a number.
        views: mirror images that were averaged.
        step: completed steps of the weights.
    """

    files: tuple[Path, ...]
    rows: int
    pool: str
    views: int | str
    step: int


@dataclass(frozen=True, kw_only=True, repr=False)
class PredictSummary(Result):
    """Predictions that were written.

    Attributes:
        files: one ``.h5ad`` per target.
        rows: bags or tiles.
        columns: genes or markers of all targets.
        part: part of the split, or ``all``.
        views: mirror images that were averaged.
        step: completed steps of the weights.
        attention: table of how much each tile counted, where the run has learned it.
        level: level of the intervals, where they were asked for.
    """

    files: tuple[Path, ...]
    rows: int
    columns: int
    part: str
    views: int | str
    step: int
    attention: Path | None = None
    level: float | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class InpaintSummary(Result):
    """Whether a network that paints uses its source.

    Attributes:
        folder: with ``inpainting.json`` and ``panels.npz``.
        part: part of the split, or ``all``.
        pairs: targets that were painted twice.
        loss: mean squared error after a source of the same condition.
        loss_mismatched: after one of another condition.
        ratio: the second over the first.
        right_is_better: share of targets with the smaller error after their own source, 0..1.
        step: completed steps of the weights.
    """

    folder: Path
    part: str
    pairs: int
    loss: float
    loss_mismatched: float
    ratio: float
    right_is_better: float
    step: int


@dataclass(frozen=True, kw_only=True, repr=False)
class SaliencySummary(Result):
    """Maps of tiles that were written.

    Attributes:
        file: the ``.npz``.
        tiles: tiles of which maps were made.
        outputs: names of what is predicted of a tile or bag.
        step: completed steps of the weights.
        method: ``guided`` (backpropagation) or ``smoothgrad``.
        bags: whose tiles they are; None for an objective of tiles.
        table: one row per tile of these bags and output: what the tile says, and what it contributes.
        exact: whether each bag's prediction is the mean of what its tiles say.
        gap: largest difference between those two, in units of the target.
        most: which tiles raise and lower each output most.
    """

    file: Path
    tiles: int
    outputs: tuple[str, ...]
    step: int
    method: str = "guided"
    bags: int | None = None
    table: Path | None = None
    exact: bool | None = None
    gap: float | None = None
    most: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportSummary(Result):
    """A network that was written for others.

    Attributes:
        folder: where it lies.
        files: their names.
        network: its name.
        channels: channels that it sees, in order.
        width: length of a vector.
        step: completed steps of the weights.
        licence: licence of the weights; None where it was not stated.
    """

    folder: Path
    files: tuple[str, ...]
    network: str
    channels: tuple[str, ...]
    width: int
    step: int
    licence: str | None


@dataclass(frozen=True, kw_only=True, repr=False)
class ImportSummary(Result):
    """A run that was made of a published checkpoint.

    Attributes:
        run: its folder.
        target: target that it predicts.
        genes: with an output.
        excluded: genes that no training well has, which have no output.
        channels: channels that it sees, in order.
        train: training wells, by which z-scores become units of the target.
        val: wells.
        test: wells.
        tensors: tensors of the checkpoint that were taken into the backbone.
    """

    run: Path
    target: str
    genes: int
    excluded: int
    channels: tuple[str, ...]
    train: int
    val: int
    test: int
    tensors: int


@dataclass(frozen=True, kw_only=True, repr=False)
class FeaturesSummary(Result):
    """Features of tiles that were written.

    Attributes:
        file: the ``.h5ad``.
        rows: tiles.
        columns: features.
        kind: which features.
        scale: how pixels were scaled before.
    """

    file: Path
    rows: int
    columns: int
    kind: str
    scale: str
