"""Predicts measured markers of each cell from its own tile: a backbone and one linear head per marker.

Source: IFC-seq, label-free mode. The paper sums the heads' mean absolute errors; here the sum over all measured
(tile, marker) pairs is divided by their number, the same up to the constant number of heads, which Adam cancels.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import nn

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.models import BackboneChoice, BagEncoder, IfcSeqConfig, build_backbone
from framework.objectives.bag_encoding import EncodesBags
from framework.objectives.base import (
    OBJECTIVES,
    Gather,
    Losses,
    ObjectiveConfig,
    Output,
    Predicts,
    at_least_float32,
)
from framework.objectives.marker_scale import MarkerScale, Transform
from framework.objectives.pretrained import PretrainedBackbone


class MarkerRegressionConfig(ObjectiveConfig):
    """Options of ``marker_regression``."""

    name: Literal["marker_regression"] = "marker_regression"
    markers: tuple[str, ...] = Field(min_length=1)
    """Names of markers of the dataset. A tile counts only for markers that were measured for it."""
    transform: Transform = "none"
    """Scale of predictions; see ``MarkerScale``. The IFC-seq paper uses ``unit_range``, its code ``none``."""
    standardise: bool = True
    """Whether the network learns z-scores of the transformed values (train mean and sd); predictions are mapped
    back."""
    loss: Literal["mae", "mse"] = "mae"
    """``mae``: mean absolute error; ``mse``: mean squared error."""
    backbone: BackboneChoice = IfcSeqConfig()
    """The network from a tile to a vector."""

    @model_validator(mode="after")
    def _each_marker_once(self) -> MarkerRegressionConfig:
        twice = sorted({name for name in self.markers if self.markers.count(name) > 1})
        if twice:
            raise ValueError(f"markers: {', '.join(twice)} is listed twice; list each marker once")
        return self


class MarkerRegressionProfile(StrictModel):
    """Channel names in order, and each marker's scale."""

    channels: tuple[str, ...]
    markers: tuple[MarkerScale, ...]


@OBJECTIVES.register("marker_regression", MarkerRegressionConfig)
class MarkerRegression(EncodesBags, Predicts):
    """Backbone and one linear head per marker (the rows of one layer)."""

    profile_type: ClassVar[type[StrictModel]] = MarkerRegressionProfile
    predicts_per: ClassVar[Literal["bag", "tile"]] = "tile"
    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, config: MarkerRegressionConfig, profile: MarkerRegressionProfile) -> None:
        encoder = BagEncoder(build_backbone(config.backbone, len(profile.channels)))
        super().__init__(config, profile, encoder=encoder, backbone=config.backbone, channels=profile.channels)
        self.options = config
        self.facts = profile
        self.heads = nn.Linear(self.bag_encoder.width, len(profile.markers))
        # Glorot for each head alone, as separate layers of one output would start.
        bound = (6 / (self.bag_encoder.width + 1)) ** 0.5
        nn.init.uniform_(self.heads.weight, -bound, bound)
        nn.init.zeros_(self.heads.bias)
        used = profile.markers if config.standardise else ()
        self.register_buffer("mean", torch.tensor([m.mean for m in used] or [0.0]))
        self.register_buffer("sd", torch.tensor([m.sd for m in used] or [1.0]))

    @classmethod
    def need_names(cls, config: MarkerRegressionConfig, dataset: Dataset) -> None:
        """Refuse markers that the dataset lacks. Raises DatasetError."""
        dataset.need_markers(config.markers)

    @classmethod
    def measure(
        cls,
        config: MarkerRegressionConfig,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> MarkerRegressionProfile:
        """Measure every marker on the tiles of the training bags, (n,).

        Raises:
            DatasetError: a marker the dataset does not have.
            RunError: a marker without training values, or values its transform cannot take.
        """
        values = dataset.markers(config.markers)[np.isin(dataset.index.bag, train_bags)].astype(np.float64)
        scales = [
            MarkerScale.fit(name, config.transform, values[:, column]) for column, name in enumerate(config.markers)
        ]
        return MarkerRegressionProfile(channels=channels, markers=tuple(scales))

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return ``markers``: float32 (T, M) transformed values, NaN where not measured."""
        values = self.transform_markers(dataset.markers(self.options.markers))
        return {"markers": LabelTable(per="tile", values=torch.from_numpy(values))}

    def transform_markers(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Bring measured values to the scale of ``predict``.

        Args:
            values: (..., M) in the dataset's units, columns as ``outputs``.

        Returns:
            (..., M) float32, transformed but not standardised.
        """
        columns = np.moveaxis(values.astype(np.float64), -1, 0)
        scaled = [scale.apply(column) for scale, column in zip(self.facts.markers, columns, strict=True)]
        return np.ascontiguousarray(np.stack(scaled, axis=-1), dtype=np.float32)

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return absolute or squared errors, summed over measured (tile, marker) pairs."""
        batch = batch.without_padding()
        measured = batch.labels["markers"]
        known = torch.isfinite(measured)
        wanted = (torch.where(known, measured, self.mean) - self.mean) / self.sd
        errors = torch.where(known, self._scores(batch) - wanted, 0.0)
        errors = errors.abs() if self.options.loss == "mae" else errors.square()
        sums, counts = errors.detach().sum(dim=(0, 1)), known.sum(dim=(0, 1)).float()
        names = [f"{self.options.loss}/{scale.marker}" for scale in self.facts.markers]
        parts = {name: (sums[i], counts[i]) for i, name in enumerate(names)}
        return Losses(total=errors.sum(), count=known.sum().float(), parts=parts)

    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, N, M) in transformed units (as ``transform_markers`` gives), columns as ``outputs``."""
        return self._scores(batch) * self.sd + self.mean

    def outputs(self) -> list[Output]:
        """Return one column per marker under the target ``markers``, its facts in transformed units."""
        return [
            Output(target="markers", name=scale.marker, train_mean=scale.mean, train_sd=scale.sd)
            for scale in self.facts.markers
        ]

    def _scores(self, batch: Batch) -> torch.Tensor:
        """(K, N, M) on the scale of the loss."""
        scores: torch.Tensor = self.heads(self.embed_tiles(batch.tiles))
        return at_least_float32(scores)
