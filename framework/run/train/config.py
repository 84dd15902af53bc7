"""``RunConfig``: everything that determines a run, as one strict YAML file.

Defaults are those of Image2Omics' pretraining. Relative paths are relative to where the command runs; the copy in the
run folder has them absolute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from framework.config import StrictModel, choice, choices, contradiction
from framework.config.load import apply_overrides, build_config
from framework.config.source import Source, parse_yaml, read_yaml
from framework.data.augmentations import AUGMENTATIONS, AugmentConfig, SymmetriesConfig
from framework.data.permutation import hash_u64
from framework.data.plan import PLANS, PlanConfig
from framework.data.remote.cache import CacheConfig
from framework.data.remote.download import checked_url, is_url
from framework.data.scales import SCALES, ScaleConfig, unit_scales
from framework.data.split import SplitConfig
from framework.errors import ConfigError
from framework.objectives import OBJECTIVES, ObjectiveConfig
from framework.tracking import TrackingConfig
from framework.trainer import OPTIMISERS, AdamWConfig, OptimConfig, TrainConfig

if TYPE_CHECKING:
    PlanChoice: TypeAlias = PlanConfig
    ObjectiveChoice: TypeAlias = ObjectiveConfig
    OptimChoice: TypeAlias = OptimConfig
    ScaleChoice: TypeAlias = ScaleConfig | None
    AugmentChoices: TypeAlias = tuple[AugmentConfig, ...]
else:
    PlanChoice = choice(PLANS)
    ObjectiveChoice = choice(OBJECTIVES)
    OptimChoice = choice(OPTIMISERS, default="adamw")
    ScaleChoice = choice(SCALES, short=True, optional=True)
    AugmentChoices = choices(AUGMENTATIONS, default="symmetries")


class Draw(IntEnum):
    """What is drawn from ``train.seed``, each from a stream of randomness of its own; none may share a number."""

    WEIGHTS = 1
    BATCHES = 2
    PIXELS = 3
    VALIDATION = 4


class DataConfig(StrictModel):
    """The section ``data``."""

    path: str = Field(description="a dataset: the folder that wellstream ingest made, or a URL of one")
    cache: CacheConfig = CacheConfig()
    """How a dataset behind a URL is kept on this machine."""
    channels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Channels by name, in the order the network sees them; default: all, or those of the pretrained run."""
    scale: ScaleChoice = None
    """How stored pixels are scaled; default: ``per_tile_standardise``, or as the pretrained run did."""
    floor: dict[str, Annotated[float, Field(ge=0.0, lt=1.0)]] = Field(default_factory=dict)
    """Channel -> floor. Scaled pixels below the floor become 0, and the rest is stretched to 0..1 again. For the scales
    ``per_tile_minmax`` and ``unit_range``."""
    augment: AugmentChoices = (SymmetriesConfig(),)
    """How tiles are changed in training: one augmentation, or a list of them."""
    check: bool = False
    """Whether each block of a shard is compared with its checksum when a tile of it is first read: in training, and in
    the commands that read pixels for the run (embed, predict, inpaint, saliency)."""
    embeddings: str | None = None
    """Cached tile embeddings (.h5ad of ``wellstream embed``) to use instead of pixels, for objectives with a frozen
    backbone."""

    @field_validator("path")
    @classmethod
    def _no_credentials(cls, path: str) -> str:
        return checked_url(path) if is_url(path) else path

    @field_validator("channels")
    @classmethod
    def _distinct(cls, channels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        twice = [name for name in channels or () if (channels or ()).count(name) > 1]
        if twice:
            raise ValueError(f"the channel '{twice[0]}' appears twice; name each once")
        return channels

    @model_validator(mode="after")
    def _only_a_unit_scale_has_a_floor(self) -> DataConfig:
        if self.floor and not (self.scale is not None and self.scale.gives_unit):
            raise contradiction(
                f"needs scaled pixels in 0..1: set scale to one of: {', '.join(unit_scales())}", "floor"
            )
        return self

    @model_validator(mode="after")
    def _embeddings_have_no_pixels(self) -> DataConfig:
        if self.embeddings is not None and not all(each.is_idle for each in self.augment):
            raise contradiction(
                "changes pixels, and embeddings have none; leave it out, or leave out data.embeddings to "
                "train on pixels",
                "augment",
            )
        return self


class RunConfig(StrictModel):
    """A training run."""

    run_dir: str = Field(min_length=1, description="the folder to write the run to")
    plugins: tuple[str, ...] = ()
    """What to load first: entry points of the group ``wellstream.plugins``, or files and folders of code (these need
    ``--allow-code``); they register objectives, backbones, plans, optimisers, schedules."""
    data: DataConfig
    """Which dataset, and what becomes of its pixels."""
    split: SplitConfig = SplitConfig(fractions=(0.7, 0.1, 0.2))
    """Which bags train, validate and test."""
    plan: PlanChoice
    """Which tiles make up a step."""
    objective: ObjectiveChoice
    """What is learned, with its network."""
    optim: OptimChoice = AdamWConfig()
    """How weights follow gradients."""
    train: TrainConfig
    """How long, on what, and what is kept."""
    tracking: TrackingConfig = TrackingConfig()
    """Where curves go besides the run folder."""
    debug: dict[str, Any] = Field(default_factory=dict)
    """Keys with dots -> values that make a version of this run that ends in seconds, to test the file itself."""

    def seed_of(self, draw: Draw) -> int:
        """Return a seed for one use of ``train.seed``, below 2**63."""
        return int(hash_u64(self.train.seed, 0x5EED, int(draw))) >> 1

    def resolved(self) -> Self:
        """Return the config with absolute paths, so that its copy means the same from any folder."""
        data, objective = self.data, self.objective.located(absolute)
        places = {"path": absolute(data.path), "embeddings": data.embeddings and absolute(data.embeddings)}
        changes = {"run_dir": absolute(self.run_dir), "data": data.model_copy(update=places), "objective": objective}
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _can_evaluate(self) -> RunConfig:
        if self.train.evaluate_every is not None and not _has_validation(self.split):
            raise contradiction(
                "needs a validation part: give split.fractions a second number above 0, list values under split.val, "
                "or leave evaluate_every out",
                "train",
                "evaluate_every",
            )
        return self

    @model_validator(mode="after")
    def _has_pixels(self) -> RunConfig:
        if self.data.embeddings is not None and self.objective.needs_pixels:
            raise contradiction(
                f"objective '{self.objective.name}' learns from pixels, not from embeddings: leave out data.embeddings",
                "data",
                "embeddings",
            )
        return self

    @model_validator(mode="after")
    def _has_the_plan(self) -> RunConfig:
        name, required = self.objective.name, self.objective.requires_plan
        if required is not None and self.plan.name != required:
            raise contradiction(
                f"objective '{name}' needs plan: {{name: {required}}}, found the plan '{self.plan.name}'", "plan"
            )
        return self

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> RunConfig:
        if self.train.steps is not None and self.optim.warmup_steps >= self.train.steps and self.optim.warmup_steps:
            raise contradiction(
                f"expected fewer than train.steps ({self.train.steps}), found {self.optim.warmup_steps}",
                "optim",
                "warmup_steps",
            )
        return self

    @model_validator(mode="after")
    def _has_all_rows_to_normalise(self) -> RunConfig:
        if self.train.batch_norm == "sync" and self.train.accumulate > 1 and self.objective.couples_rows:
            raise contradiction(
                f"'sync' needs all rows at once, but with train.accumulate '{self.objective.name}' computes "
                "the rows in parts; use a backbone with norm 'group', or batch_norm 'frozen', or leave out "
                "accumulate",
                "train",
                "batch_norm",
            )
        if self.train.batch_norm == "sync" and self.objective.splits_rows:
            raise contradiction(
                "'sync' needs all rows of a step at once, but objective.gradient_cache splits them; use a "
                "backbone with norm 'group', or batch_norm 'frozen', or leave out gradient_cache",
                "train",
                "batch_norm",
            )
        return self


def load_run_config(
    path: Path | str | Mapping[str, Any], overrides: Sequence[str] = (), *, debug: bool = False
) -> RunConfig:
    """Read a run's YAML; plugins it names are loaded before it is checked.

    Args:
        path: the file, or what it would hold as a mapping.
        overrides: ``a.b=value`` from the command line.
        debug: apply the file's own ``debug`` overrides too, after the others.

    Raises:
        ConfigError: one sentence per mistake, with file and line.
    """
    return _checked(apply_overrides(read_yaml(path), overrides), debug)


def parse_run_config(
    text: str, name: str = "config", overrides: Sequence[str] = (), *, debug: bool = False
) -> RunConfig:
    """Build a run config from YAML text; ``name`` stands for the file in messages. Else as ``load_run_config``."""
    return _checked(apply_overrides(parse_yaml(text, name), overrides), debug)


def _refuse_ingest(source: Source) -> None:
    """Say once that a config is of another kind, in place of a sentence per key."""
    keys = source.data if isinstance(source.data, dict) else {}
    found = [key for key in ("plates", "sources") if key in keys]
    if found and "objective" not in keys:
        raise ConfigError(
            f"{source.name}: a config to ingest (it has '{found[0]}'), expected one to train; type: wellstream ingest "
            f"{source.name} --out DATASET, and train with the train.yaml that wellstream init wrote"
        )


def _checked(source: Source, debug: bool) -> RunConfig:
    data = source.data
    _refuse_ingest(source)
    if isinstance(data, dict):
        changes = data.get("debug")
        if debug and isinstance(changes, Mapping):
            source = apply_overrides(source, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    return build_config(source, RunConfig)


def absolute(path: str) -> str:
    """Return a path as it is from any folder; a URL is that already."""
    return path if is_url(path) else str(Path(path).expanduser().absolute())


def _has_validation(split: SplitConfig) -> bool:
    return split.fractions[1] > 0 if split.fractions is not None else bool(split.val)
