"""``HeadsConfig``: a run's YAML, and over which splits its heads are trained. One model per target and split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from framework.config import StrictModel, load_config
from framework.errors import ConfigError
from framework.objectives import OmicsHeadsConfig
from framework.run.train.config import RunConfig

SEED = "{seed}"
"""Stands for the seed of the split in ``objective.pretrained``, ``data.embeddings`` and ``data.path``."""


class SeveralHeads(StrictModel):
    """The section ``heads``."""

    seeds: tuple[int, ...] = Field(default=(), description="seeds of splits, each a list entry >= 0")
    """``split.seed`` of the models, one model of each target per seed; none: the one of the section ``split``."""
    memory_gb: float = Field(default=8.0, gt=0.0)
    """Weights and optimiser states in memory at a time; models beyond that are trained after those."""

    @model_validator(mode="after")
    def _each_seed_once(self) -> SeveralHeads:
        twice = sorted({seed for seed in self.seeds if self.seeds.count(seed) > 1})
        if twice:
            raise ValueError(f"seeds: {twice[0]} is listed twice; list each seed once")
        if any(seed < 0 for seed in self.seeds):
            raise ValueError(f"seeds: expected whole numbers >= 0, found {min(self.seeds)}")
        return self


class HeadsConfig(RunConfig):
    """A run of ``omics_heads`` from cached embeddings, for each target and each split."""

    heads: SeveralHeads = SeveralHeads()
    """Over which splits; ``run_dir`` is the folder that gets one run folder per model."""

    @model_validator(mode="after")
    def _can_be_trained_together(self) -> HeadsConfig:
        told = [said for said in _obstacles(self) if said]
        if told:
            raise ValueError("\n".join(told))
        return self


def _obstacles(config: HeadsConfig) -> Iterator[str | None]:
    """Yield why its models cannot be trained together, or None where they can in that respect."""
    data, plan, train, optim = config.data, config.plan, config.train, config.optim
    yield _not_heads(config)
    if data.embeddings is None:
        yield (
            "data.embeddings: expected cached tile embeddings; make them with: wellstream embed "
            f"{config.objective.builds_on or 'RUN'} --level tile --out TILES.h5ad"
        )
    if plan.name != "bags":
        yield f"plan: expected {{name: bags}}, found '{plan.name}'"
    if train.precision != "fp32":
        yield "train.precision: heads train in fp32; leave it out"
    if train.steps is None:
        yield "train.epochs: heads of several splits train in step; give train.steps instead"
    if train.ema is not None:
        yield "train.ema: heads trained at once keep no average; leave it out, or use: wellstream train"
    if train.compile:
        yield "train.compile: there is nothing to compile in linear heads; leave it out"
    if not optim.elementwise:
        yield (
            f"optim: '{optim.name}' looks at more than one number at a time, so models cannot share it; use adamw, "
            "adam or sgd, or train each model with: wellstream train"
        )
    if config.heads.seeds and config.split.fractions is None:
        yield "heads.seeds: a split by listed values has no seed; leave heads.seeds out, or give split.fractions"


def _not_heads(config: HeadsConfig) -> str | None:
    if isinstance(config.objective, OmicsHeadsConfig):
        return None
    return (
        f"objective: expected {{name: omics_heads}}, found '{config.objective.name}'; train it with: wellstream train"
    )


@dataclass(frozen=True, kw_only=True)
class OneHead:
    """One model.

    Attributes:
        name: name of its run folder.
        target: what it predicts.
        seed: seed of its split; None for a split by listed values.
        config: what ``wellstream train`` would train it with.
    """

    name: str
    target: str
    seed: int | None
    config: RunConfig


def load_heads_config(path: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> HeadsConfig:
    """Read the YAML of several heads; an ordinary run's YAML is one, too. Raises ConfigError."""
    return load_config(path, HeadsConfig, overrides)


def each_head(config: HeadsConfig) -> list[OneHead]:
    """Return the models of a resolved config, target by target.

    Raises:
        ConfigError: a target whose name cannot be that of a folder.
    """
    seeds: tuple[int | None, ...] = config.heads.seeds or (_own_seed(config),)
    return [_one(config, target, seed) for target in _targets(config) for seed in seeds]


def _own_seed(config: HeadsConfig) -> int | None:
    return config.split.seed if config.split.fractions is not None else None


def _targets(config: HeadsConfig) -> tuple[str, ...]:
    if not isinstance(config.objective, OmicsHeadsConfig):
        raise ConfigError(str(_not_heads(config)))
    for target in config.objective.targets:
        if Path(target).name != target:
            raise ConfigError(f"target '{target}' cannot be a folder name; rename it and ingest again")
    return config.objective.targets


def _one(config: HeadsConfig, target: str, seed: int | None) -> OneHead:
    name = target if seed is None else f"{target}-split-{seed}"
    plain = {key: value for key, value in config.plain().items() if key != "heads"}
    plain["run_dir"] = str(Path(config.run_dir) / name)
    plain["objective"] = {**plain["objective"], "targets": [target]}
    if seed is not None:
        plain["split"] = {**plain["split"], "seed": seed}
        for section, key in (("objective", "pretrained"), ("data", "embeddings"), ("data", "path")):
            if plain[section][key] is not None:
                plain[section] = {**plain[section], key: plain[section][key].replace(SEED, str(seed))}
    return OneHead(name=name, target=target, seed=seed, config=RunConfig.from_plain(plain))
