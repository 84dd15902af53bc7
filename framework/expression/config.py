"""What an expression prediction is made of: the YAML behind ``wellstream express``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from framework.config import StrictModel, UniqueNames, WithPlugins
from framework.data.format.markers import Gates, MarkerTransform
from framework.expression.forest import ForestConfig


class Truth(StrictModel):
    """The expression of the imaged cells themselves, which only a simulation knows.

    Attributes:
        path: ``.h5ad``, cells x genes, as ``truth_expression.h5ad`` of ``wellstream simulate ifc``.
        cell: column of the predictions that names a cell as this file does.
        prefix: prefix of the names of genes there.
        layer: layer to compare with; null for ``X``.
        log: compare log(1 + x), as the single-cell side is prepared.
    """

    path: str
    cell: str = "Metadata_Cell"
    prefix: str = ""
    layer: str | None = None
    log: bool = True


class ImagedCells(StrictModel):
    """Cells of an imaging-flow experiment, as ``wellstream predict`` wrote them.

    Attributes:
        predictions: ``.h5ad`` of a marker regression, every cell (``--part all``): measured markers give the standard
            chain, predicted ones the label-free chain.
        names: marker of the single-cell side -> marker of this file, where they differ.
        transform: transform of measured and predicted markers, before each is brought into [0, 1].
        gates: populations on the measured markers.
        part: which cells to predict: those the network never saw, or all.
        label_free_range: ``predicted``: predicted markers fill [0, 1] by their own range, as the authors scale each
            table. ``measured``: they are scaled like the measured ones, so a network that predicts close to the mean
            gives a narrow range.
        saliency: ``.npz`` of ``wellstream saliency``, to show beside images of each population.
        truth: the true expression of these cells, where a simulation knows it.
    """

    predictions: str
    names: dict[str, str] = Field(default_factory=dict)
    transform: MarkerTransform = "log10p1"
    gates: Gates | None = None
    part: Literal["test", "all"] = "test"
    label_free_range: Literal["predicted", "measured"] = "predicted"
    saliency: str | None = None
    truth: Truth | None = None


class ExpressionConfig(WithPlugins):
    """Expression of every gene from surface markers, learned on single cells, applied to imaged cells.

    Attributes:
        single_cell: ``.h5ad`` of ``wellstream prepare``.
        markers: surface markers that both experiments measure.
        also_predict: surface markers of the single-cell side that are predicted like genes (CD4 in IFC-seq), as log
            counts.
        transform: transform of the markers of the single-cell side.
        scale: on which cells the range of each marker is measured: ``modality`` on all (paper), ``train`` on the
            training part, or ``part`` on each part separately (the authors' code).
        test_fraction: share of single cells held out.
        seed: seed of the split, the forest and the bootstrap.
        forest: see ``ForestConfig``.
        resamples: resamples of the bootstrap of each gene's r.
        images: the imaging side; null to score single cells only.
        genes: which genes are written for imaged cells: markers of a population, or all.
        interval: share of values between the layers ``lower`` and ``upper`` of imaged cells, such as 0.9; held-out
            single cells calibrate them. Null: no such layers.
    """

    single_cell: str
    markers: UniqueNames = Field(min_length=1)
    also_predict: UniqueNames = ()
    transform: MarkerTransform = "none"
    scale: Literal["modality", "train", "part"] = "modality"
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    forest: ForestConfig = ForestConfig()
    resamples: int = Field(default=10_000, ge=100)
    images: ImagedCells | None = None
    genes: Literal["markers", "all"] = "markers"
    interval: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> ExpressionConfig:
        both = [name for name in self.also_predict if name in self.markers]
        if both:
            raise ValueError(f"'{both[0]}' is in 'markers' and in 'also_predict'; a marker cannot predict itself")
        unknown = [name for name in (self.images.names if self.images else {}) if name not in self.markers]
        if unknown:
            raise ValueError(f"'images.names' maps '{unknown[0]}', which is not in 'markers'")
        self._check_images_have_one_marker_each()
        return self

    def _check_images_have_one_marker_each(self) -> None:
        """Refuse one marker of the images for two of the single cells: one of them would be a copy of the other."""
        taken: dict[str, str] = {}
        for marker in self.markers if self.images else ():
            theirs = self.images.names.get(marker, marker) if self.images else marker
            if theirs in taken:
                raise ValueError(
                    f"'images.names' gives '{theirs}' to both '{taken[theirs]}' and '{marker}'; name a "
                    "different one for each"
                )
            taken[theirs] = marker
