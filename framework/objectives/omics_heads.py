"""Linear heads from frozen bag embeddings to omics targets: one run for any number of targets.

Source: Image2Omics, Multi-omics Fine-tuning. The heads share only the frozen embedding. So training them together
equals training one model per target, except for the common divisor of the loss, which makes no difference to Adam.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch

from framework.config import StrictModel
from framework.data.dataset import Dataset
from framework.errors import CheckpointError, RunError
from framework.models import Aggregate, BackboneChoice, BagEncoder, PoolChoice, build_backbone
from framework.objectives.base import OBJECTIVES
from framework.objectives.omics_targets import ProfileOfTargets, TargetTable
from framework.objectives.predicting_targets import PredictsTargets, TargetsConfig
from framework.objectives.pretrained import PretrainedBackbone


class OmicsHeadsConfig(TargetsConfig):
    """Options of ``omics_heads``; the backbone of ``pretrained`` stays frozen."""

    needs_pixels: ClassVar[bool] = False

    name: Literal["omics_heads"] = "omics_heads"


class OmicsHeadsProfile(ProfileOfTargets):
    """The options of the frozen backbone and the facts of each target."""

    channels: tuple[str, ...]
    backbone: BackboneChoice
    aggregate: Aggregate
    pool: PoolChoice
    l2_normalise: bool


@OBJECTIVES.register("omics_heads", OmicsHeadsConfig)
class OmicsHeads(PredictsTargets):
    """Frozen bag encoder, then ``Linear`` (or ``ReLU, Dropout, Linear``) to z-scored genes.

    The backbone always stays in eval mode and without gradients. So its batch normalisation uses the statistics of
    pretraining, and tiles may be pixels or cached embeddings of the same run.
    """

    profile_type: ClassVar[type[StrictModel]] = OmicsHeadsProfile

    def __init__(self, config: OmicsHeadsConfig, profile: OmicsHeadsProfile, encoder: BagEncoder | None = None) -> None:
        super().__init__(
            config,
            profile,
            # Several objectives may share one frozen encoder; each with an encoder of its own draws that one first.
            encoder=frozen_encoder(profile) if encoder is None else encoder,
            backbone=profile.backbone,
            channels=profile.channels,
            targets=profile.targets,
        )
        self.facts = profile
        self.train()

    @classmethod
    def need_names(cls, config: OmicsHeadsConfig, dataset: Dataset) -> None:
        """Refuse targets that the dataset lacks. Raises DatasetError."""
        dataset.need_targets(config.targets)

    @classmethod
    def measure(
        cls,
        config: OmicsHeadsConfig,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> OmicsHeadsProfile:
        """Measure every gene on the training bags, (n,).

        Raises:
            RunError: no pretrained backbone, one of other channels, or a target without a measured training bag.
            DatasetError: a target the dataset does not have.
        """
        if pretrained is None:
            raise RunError(
                "omics_heads needs a frozen backbone; set objective.pretrained to the folder of a pretraining run"
            )
        pretrained.need_channels(channels)
        return OmicsHeadsProfile(
            channels=channels,
            backbone=pretrained.encoder_config,
            aggregate=pretrained.aggregate,
            pool=pretrained.pool,
            l2_normalise=pretrained.l2_normalise,
            targets=tuple(TargetTable.read(dataset, name).measure(train_bags) for name in config.targets),
        )

    def start_from(self, pretrained: PretrainedBackbone) -> None:
        """Load the frozen weights.

        Raises:
            CheckpointError: they are not of the backbone in the profile.
        """
        facts = self.facts
        mine = (facts.backbone, facts.aggregate, facts.pool, facts.l2_normalise, facts.channels)
        theirs = (
            pretrained.encoder_config,
            pretrained.aggregate,
            pretrained.pool,
            pretrained.l2_normalise,
            pretrained.channels,
        )
        if mine != theirs:
            raise CheckpointError(f"these heads were made for the backbone {mine}, but the pretrained run has {theirs}")
        self.bag_encoder.load_state_dict(dict(pretrained.state))

    def train(self, mode: bool = True) -> OmicsHeads:
        """Set the heads' mode; the backbone stays in eval mode."""
        super().train(mode)
        self.bag_encoder.eval()
        return self

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) -> (..., E), by the frozen backbone."""
        # With gradients only where somebody asks how pixels matter: without them tiles pass in chunks.
        with torch.set_grad_enabled(torch.is_grad_enabled() and tiles.requires_grad):
            return self.bag_encoder.embed_tiles(tiles)

    def embed_bags(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) -> (K, D), by the frozen backbone.

        Raises:
            RunError: cached embeddings of another width.
        """
        width = self.bag_encoder.embedded_width
        if embedded.shape[-1] != width:
            raise RunError(
                f"the cached tile embeddings are {embedded.shape[-1]} wide, but those of the frozen backbone "
                f"are {width}; make them with 'wellstream embed' from the run that 'pretrained' names"
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and embedded.requires_grad):
            return self.bag_encoder.pool(embedded)


def frozen_encoder(profile: OmicsHeadsProfile) -> BagEncoder:
    """Return the bag encoder of a profile with fresh weights, which do not train."""
    return BagEncoder(
        build_backbone(profile.backbone, len(profile.channels)),
        aggregate=profile.aggregate,
        l2_normalise=profile.l2_normalise,
        pool=profile.pool,
    ).requires_grad_(False)
