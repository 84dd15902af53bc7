"""Multiple-instance triplet loss: bags of the same condition lie nearer to each other than to other conditions.

Source: Image2Omics, Backbone Pre-training; mining after Schroff et al. 2015 (FaceNet).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from framework.config import StrictModel, UniqueNames
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.data.format.schema import PERTURBATION, STIMULATION
from framework.data.plan import Plan, StepRows
from framework.data.split import need_columns
from framework.errors import RunError
from framework.models import (
    Aggregate,
    BackboneChoice,
    BagEncoder,
    MeanPoolConfig,
    PoolChoice,
    ResNet18Config,
    build_backbone,
)
from framework.objectives.bag_encoding import EncodesBags
from framework.objectives.base import OBJECTIVES, Gather, Losses, ObjectiveConfig, at_least_float32
from framework.objectives.pretrained import PretrainedBackbone
from framework.objectives.triplets import Mining, RowFacts, sample_digest, triplet_sums

_STEPS_LOOKED_AT = 20
"""Of an epoch, for a triplet: most plans have one in the first."""


class TripletMILConfig(ObjectiveConfig):
    """Options of ``triplet_mil``."""

    couples_rows: ClassVar[bool] = True

    name: Literal["triplet_mil"] = "triplet_mil"
    margin: float = Field(default=0.2, gt=0.0)
    """Margin of the loss, in units of squared L2 distance."""
    mining: Mining = "semi_hard"
    """Which negative each anchor-positive pair gets. ``semi_hard``: the nearest of the negatives that are farther away
    than the positive. If every negative is nearer, it is the farthest one, so that one hopeless pair cannot pull all
    embeddings together. (FaceNet and Image2Omics do not say this; it is the rule of TensorFlow Addons'
    TripletSemiHardLoss.) The margin needs no test, because beyond it the loss is 0. ``hard``: the nearest negative.
    ``all``: every negative, one triplet each."""
    average: Literal["pairs", "active"] = "pairs"
    """By what number the loss is divided: by that of all mined triplets, or of those with a loss above 0."""
    by: UniqueNames = Field(default=(PERTURBATION, STIMULATION), min_length=1)
    """Columns of bags.parquet; bags that share all of them are positives of each other."""
    same_bag_positives: bool = True
    """Whether two rows of one bag with different tiles are positives of each other. A row is never its own positive,
    and neither is a row with exactly the same tiles."""
    aggregate: Aggregate = "tile_embedding"
    """``tile_embedding`` averages after the dense layers (paper), ``backbone`` before them (the authors' code)."""
    pool: PoolChoice = MeanPoolConfig()
    """How the tiles of a bag become one vector: ``mean``, ``gated_attention`` or ``set_attention``."""
    l2_normalise: bool = False
    """Whether the vector of a bag is scaled to length 1."""
    gradient_cache: int | None = Field(default=None, ge=1)
    """Tiles per chunk. Memory holds the activations of at most this many tiles, at the cost of a second forward pass.
    The gradients stay the same, except with batch normalisation in train mode, which then uses the statistics of each
    chunk."""
    backbone: BackboneChoice = ResNet18Config()
    """The network from a tile to a vector."""

    @property
    def splits_rows(self) -> bool:
        """Whether ``gradient_cache`` is set."""
        return self.gradient_cache is not None


class TripletMILProfile(StrictModel):
    """Facts of the training bags: channel names in order, and the conditions seen."""

    channels: tuple[str, ...]
    by: tuple[str, ...]
    classes: tuple[str, ...]
    """``perturbation / stimulation`` of each condition among the training bags, sorted."""


@OBJECTIVES.register("triplet_mil", TripletMILConfig)
class TripletMIL(EncodesBags):
    """Embeds bags and pulls those of one condition together."""

    profile_type: ClassVar[type[StrictModel]] = TripletMILProfile

    def __init__(self, config: TripletMILConfig, profile: TripletMILProfile) -> None:
        encoder = BagEncoder(
            build_backbone(config.backbone, len(profile.channels)),
            aggregate=config.aggregate,
            l2_normalise=config.l2_normalise,
            pool=config.pool,
            tile_chunk=config.gradient_cache,
        )
        super().__init__(config, profile, encoder=encoder, backbone=config.backbone, channels=profile.channels)
        self.options = config

    @classmethod
    def need_names(cls, config: TripletMILConfig, dataset: Dataset) -> None:
        """Refuse columns of ``by`` that bags.parquet lacks. Raises RunError."""
        need_columns(dataset.bags, "objective.by", config.by)

    @classmethod
    def measure(
        cls,
        config: TripletMILConfig,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> TripletMILProfile:
        """Name the conditions of the training bags, (n,).

        Raises:
            RunError: a column of ``by`` that bags.parquet lacks, or training bags from which no triplet can be formed.
        """
        ids = _conditions(dataset, config.by)[train_bags]
        names = dataset.bags[list(config.by)].astype(str).agg(" / ".join, axis=1).to_numpy()[train_bags]
        classes = tuple(sorted(set(names.tolist())))
        if len(np.unique(ids)) < 2:
            raise RunError(
                f"{dataset.where}: the {len(train_bags)} training bags have {len(classes)} condition(s) by "
                f"{', '.join(config.by)}; triplets need at least 2: check 'by' and the split"
            )
        if not config.same_bag_positives and np.unique(ids, return_counts=True)[1].max() < 2:
            raise RunError(
                f"{dataset.where}: no two training bags share a condition by {', '.join(config.by)}, so no "
                "triplet has a positive; set same_bag_positives: true, or choose columns in 'by' that more "
                "bags share"
            )
        return TripletMILProfile(channels=channels, by=config.by, classes=classes)

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return ``condition``: int64 (B,), equal for bags that share all columns of ``by``; all bags have one.

        Raises:
            RunError: a column of ``by`` that bags.parquet lacks.
        """
        values = torch.from_numpy(_conditions(dataset, self.options.by))
        return {"condition": LabelTable(per="bag", values=values)}

    def check_plan(self, plan: Plan, labels: Mapping[str, LabelTable], part: str) -> None:
        """Refuse a plan of whose first steps none holds a triplet. Raises RunError."""
        conditions = labels["condition"].values
        looked = min(plan.steps_per_epoch, _STEPS_LOOKED_AT)
        for step in range(looked):
            if self._triplets_in(plan.at(step), conditions):
                return
        rows = plan.at(0)
        bags = np.unique(rows.bags[rows.weights > 0])
        found, by = len(np.unique(conditions.numpy()[bags])), ", ".join(self.options.by)
        two = "two draws of one condition" if self.options.same_bag_positives else "two bags of one condition"
        raise RunError(
            f"part '{part}': no triplet can be formed, the first step has {_counted(found, 'condition')} by {by} in "
            f"{_counted(len(bags), 'bag')}, and a triplet is {two}, with different tiles, and one of another; choose "
            f"fewer columns in objective.by, or plan: {{name: balanced_bags, by: [{by}]}} with at least 2 conditions "
            "of 2 bags per step" + ("" if part == "train" else ", or leave out train.evaluate_every")
        )

    def _triplets_in(self, rows: StepRows, conditions: torch.Tensor) -> int:
        """Count the triplets of a global step: where all embeddings are alike, those that any would give."""
        facts = RowFacts(
            condition=conditions[torch.from_numpy(rows.bags)],
            bag=torch.from_numpy(rows.bags),
            sample=sample_digest(torch.from_numpy(rows.tiles)),
            counted=torch.from_numpy(rows.weights > 0).to(torch.int64),
        )
        alike, positives = torch.zeros(len(rows.bags), 1), self.options.same_bag_positives
        sums = triplet_sums(alike, facts, alike, facts, margin=1.0, mining="hard", same_bag_positives=positives)
        return int(sums.pairs)

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return the sum over triplets whose anchor is a row of this rank; positives and negatives are from all."""
        embedding = batch.with_padding(self.embed_bags(self.embed_tiles(batch.without_padding().tiles)))
        mine = RowFacts(
            condition=batch.labels["condition"],
            bag=batch.bags,
            sample=sample_digest(batch.tile_ids),
            counted=(batch.weights > 0).to(torch.int64),
        )
        # Distances in bf16 would round away the margin.
        with torch.autocast(embedding.device.type, enabled=False):
            embedding = at_least_float32(embedding)
            sums = triplet_sums(
                embedding,
                mine,
                gather(embedding),
                RowFacts.unpacked(gather(mine.packed())),
                margin=self.options.margin,
                mining=self.options.mining,
                same_bag_positives=self.options.same_bag_positives,
            )
        pairs, active = sums.pairs.float(), sums.active.float()
        return Losses(
            total=sums.total,
            count=pairs if self.options.average == "pairs" else active,
            parts={
                "triplet": (sums.total.detach(), pairs),
                "active_triplets": (active, pairs),
                "distance_positive": (sums.d_ap, pairs),
                "distance_negative": (sums.d_an, pairs),
            },
        )

    def cache_gradients(self, parts: int) -> None:
        """Embed the tiles of a step in ``parts`` chunks; triplets are mined among all of its bags."""
        self.bag_encoder.tile_parts = parts

    def embed_bags(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) -> (K, D)."""
        return self.bag_encoder.pool(embedded)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _conditions(dataset: Dataset, by: tuple[str, ...]) -> npt.NDArray[np.int64]:
    need_columns(dataset.bags, "objective.by", by)
    groups = dataset.bags.groupby(list(by), sort=True, dropna=False, observed=True)
    return np.asarray(groups.ngroup(), dtype=np.int64)
