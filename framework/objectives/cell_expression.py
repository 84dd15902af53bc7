"""Expression of single cells from their own tiles: counts of transcripts per gene, as spatial experiments give them.

``likelihood`` chooses how a prediction is compared with the counts y of a cell with N transcripts:

- ``log_share``: squared error of log(1 + 100 y / N), z-scored by the training cells;
- ``poisson``: y is drawn from Poisson(N s), s the share that is predicted;
- ``negative_binomial``: y is drawn from NB(mean N s, dispersion theta), theta one number per gene, variance
  m + m^2 / theta (as scVI: Lopez et al. 2018, with the library size as an offset).

Predictions are log(1 + 100 s) for all three, so that their scores can be compared.
"""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.errors import RunError, some_of
from framework.models import BackboneChoice, BagEncoder, IfcSeqConfig, build_backbone
from framework.objectives.bag_encoding import EncodesBags
from framework.objectives.base import (
    OBJECTIVES,
    Gather,
    Losses,
    Output,
    Predicts,
    PretrainedConfig,
    at_least_float32,
)
from framework.objectives.omics_targets import ProfileOfTargets, TargetFacts
from framework.objectives.pretrained import PretrainedBackbone

log = logging.getLogger(__name__)

TARGET = "expression"
_LEAST_SHARE = 1e-7
_PERCENT = 100.0


class CellExpressionConfig(PretrainedConfig):
    """Options of ``cell_expression``."""

    name: Literal["cell_expression"] = "cell_expression"
    genes: tuple[str, ...] = Field(default=("*",), min_length=1)
    """Markers of the dataset that are counts of genes; ``*`` stands for any text."""
    total: str = "transcripts"
    """The marker with the number of all transcripts of a cell; shares are counts divided by it."""
    min_cells: int = Field(default=50, ge=1)
    """Genes seen in fewer training cells are left out."""
    likelihood: Literal["log_share", "poisson", "negative_binomial"] = "log_share"
    """How a prediction is compared with counts; ``log_share`` is the squared error of log(1 + 100 share)."""
    relu: bool = True
    """Put a ReLU before the linear layer, so that the last dense layer of the backbone is a hidden one."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before the linear layer."""
    backbone: BackboneChoice = IfcSeqConfig()
    """The network that takes a tile: ``filter_bank`` for some hundred cells, a larger one for many thousands. With
    ``pretrained`` the network of that run is used instead."""


class CellExpressionProfile(ProfileOfTargets):
    """Channel names, the network, and the genes with mean and spread of log(1 + 100 share) over training cells."""

    channels: tuple[str, ...]
    backbone: BackboneChoice


@OBJECTIVES.register("cell_expression", CellExpressionConfig)
class CellExpression(EncodesBags, Predicts):
    """Backbone and one linear layer to all genes."""

    profile_type: ClassVar[type[StrictModel]] = CellExpressionProfile
    predicts_per: ClassVar[Literal["bag", "tile"]] = "tile"
    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, config: CellExpressionConfig, profile: CellExpressionProfile) -> None:
        encoder = BagEncoder(build_backbone(profile.backbone, len(profile.channels)))
        super().__init__(config, profile, encoder=encoder, backbone=profile.backbone, channels=profile.channels)
        self.options = config
        self.expression = profile.targets[0]
        genes = len(self.expression.genes)
        self.activation: nn.Module = nn.ReLU() if config.relu else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(encoder.width, genes)
        self.register_buffer("mean", torch.tensor(self.expression.train_mean, dtype=torch.float32))
        self.register_buffer("sd", torch.tensor(self.expression.train_sd, dtype=torch.float32))
        # Training begins with the mean of every gene, the prediction that knows no image.
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)
        if config.likelihood == "negative_binomial":
            self.log_theta = nn.Parameter(torch.zeros(genes))

    @classmethod
    def measure(
        cls,
        config: CellExpressionConfig,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> CellExpressionProfile:
        """Choose the genes and measure them on the tiles of the training bags, (n,).

        Raises:
            DatasetError: ``total`` is not a marker of the dataset.
            RunError: no gene matches, or is seen in enough cells; a pretrained backbone of other channels.
        """
        if pretrained is not None:
            pretrained.need_channels(channels)
        known = [name for name in dataset.manifest.markers if name != config.total]
        named = tuple(name for name in known if any(fnmatchcase(name, pattern) for pattern in config.genes))
        if not named:
            raise RunError(
                f"{dataset.where}: no marker matches objective.genes ({', '.join(config.genes)}); it has "
                + some_of(known)
            )
        train = np.isin(dataset.index.bag, train_bags)
        counts, totals = _counts(dataset, named, config.total, train)
        seen = (counts > 0).sum(axis=0)
        kept = seen >= config.min_cells
        if not kept.any():
            raise RunError(
                f"{dataset.where}: no gene is seen in {config.min_cells} training cells; the most frequent "
                f"one, {named[int(seen.argmax())]}, is seen in {int(seen.max())}; lower objective.min_cells"
            )
        values = log_share(counts[:, kept], totals)
        sd = np.nanstd(values, axis=0, ddof=1) if len(values) > 1 else np.ones(int(kept.sum()))
        facts = TargetFacts(
            target=TARGET,
            genes=tuple(name for name, keep in zip(named, kept, strict=True) if keep),
            train_mean=tuple(np.nanmean(values, axis=0).tolist()),
            train_sd=tuple(np.where(sd > 0, sd, 1.0).tolist()),
            excluded=tuple(name for name, keep in zip(named, kept, strict=True) if not keep),
        )
        backbone = config.backbone if pretrained is None else pretrained.encoder_config
        return CellExpressionProfile(channels=channels, backbone=backbone, targets=(facts,))

    def start_from(self, pretrained: PretrainedBackbone) -> None:
        """Take over the weights of the backbone."""
        prefix = "encoder."
        state = {name: value for name, value in pretrained.state.items() if name.startswith(prefix)}
        self.bag_encoder.load_state_dict({**self.bag_encoder.state_dict(), **state})

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return ``expression`` (T, G) = log(1 + 100 share), ``counts`` (T, G), ``total`` (T, 1); NaN where unknown.

        A gene that is not a marker of the dataset, such as one without a transcript in another field, is unknown there.

        Raises:
            DatasetError: the dataset has none of the genes, or not the total.
        """
        genes, known = self.expression.genes, set(dataset.manifest.markers)
        found = tuple(gene for gene in genes if gene in known) or genes
        there, totals = _counts(dataset, found, self.options.total)
        counts = np.full((len(there), len(genes)), np.nan)
        counts[:, [genes.index(gene) for gene in found]] = there
        missing = [gene for gene in genes if gene not in known]
        if missing:
            log.warning(
                "%s: %d of the %d genes of the run are not markers of it, so they are predicted and not compared: %s",
                dataset.where,
                len(missing),
                len(genes),
                some_of(missing),
            )
        tables = {"expression": log_share(counts, totals), "counts": counts, "total": totals[:, None]}
        return {
            name: LabelTable(per="tile", values=torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))
            for name, values in tables.items()
        }

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return squared errors or negative log-likelihoods, summed over (cell, gene) pairs with counts."""
        batch = batch.without_padding()
        known = torch.isfinite(batch.labels["expression"])
        scores = self._scores(batch)
        if self.options.likelihood == "log_share":
            wanted = (torch.where(known, batch.labels["expression"], self.mean) - self.mean) / self.sd
            errors = (scores - wanted).square()
        else:
            counts = torch.where(known, batch.labels["counts"], 0.0)
            total = torch.nan_to_num(batch.labels["total"], nan=1.0).clamp(min=1.0)
            errors = self._negative_log_likelihood(counts, total * self._share(scores))
        errors = torch.where(known, errors, 0.0)
        count = known.sum().float()
        name = {"log_share": "mse"}.get(self.options.likelihood, "nll")
        return Losses(total=errors.sum(), count=count, parts={name: (errors.detach().sum(), count)})

    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, N, G) as log(1 + 100 share), columns as ``outputs``."""
        scores = self._scores(batch)
        if self.options.likelihood == "log_share":
            return scores * self.sd + self.mean
        return torch.log1p(_PERCENT * self._share(scores))

    def outputs(self) -> list[Output]:
        """Return one column per gene under the target ``expression``."""
        facts = self.expression
        return [
            Output(target=TARGET, name=gene, train_mean=mean, train_sd=sd)
            for gene, mean, sd in zip(facts.genes, facts.train_mean, facts.train_sd, strict=True)
        ]

    def _scores(self, batch: Batch) -> torch.Tensor:
        """(K, N, G) on the scale of the loss."""
        hidden = self.dropout(self.activation(self.embed_tiles(batch.tiles)))
        scores: torch.Tensor = self.head(hidden)
        return at_least_float32(scores)

    def _share(self, scores: torch.Tensor) -> torch.Tensor:
        """Return shares in 0..1, those of the training cells where the scores are 0."""
        base = (torch.expm1(self.mean) / _PERCENT).clamp(min=_LEAST_SHARE).log()
        return (base + scores).clamp(max=0.0).exp()

    def _negative_log_likelihood(self, counts: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        mean = mean.clamp(min=_LEAST_SHARE)
        constant = torch.lgamma(counts + 1)
        if self.options.likelihood == "poisson":
            return mean - counts * mean.log() + constant
        theta = self.log_theta.to(mean.dtype).exp()
        whole = (theta + mean).log()
        return (
            (theta + counts) * whole
            - theta * theta.log()
            - counts * mean.log()
            + torch.lgamma(theta)
            - torch.lgamma(theta + counts)
            + constant
        )


def log_share(counts: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log(1 + 100 x share of the transcripts of a cell); NaN where a cell has none, or no count.

    Args:
        counts: (n, G).
        totals: (n,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(totals[:, None] > 0, counts / totals[:, None], np.nan)
    return np.asarray(np.log1p(_PERCENT * shares))


def _counts(
    dataset: Dataset, genes: tuple[str, ...], total: str, rows: npt.NDArray[np.bool_] | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return counts (n, G) and totals (n,) of tiles, those of ``rows`` alone where given.

    Raises:
        RunError: a count that is negative or infinite.
    """
    values = dataset.markers((*genes, total))
    values = values if rows is None else values[rows]
    wrong = np.isinf(values) | (values < 0)
    if wrong.any():
        name = (*genes, total)[int(np.flatnonzero(wrong.any(axis=0))[0])]
        raise RunError(
            f"{dataset.where}: '{name}' has values that are infinite or below 0, so these are not counts; leave it out"
        )
    found = values.astype(np.float64)
    return found[:, :-1], found[:, -1]
