"""A first training recipe for a dataset, sized for the machine that writes it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from framework.config import flow_text
from framework.data.format.schema import PERTURBATION, STIMULATION
from framework.data.split import SplitConfig, assign
from framework.run.train.config import parse_run_config

_LEAST_CONDITIONS, _LEAST_PERTURBATIONS = 4, 3
_CONDITIONS = 12
_SPLIT = SplitConfig(by=PERTURBATION, fractions=(0.7, 0.1, 0.2), seed=0)
_PASSES_GPU, _PASSES_CPU = 30, 4
_TILES_PER_STEP_GPU, _TILES_PER_STEP_CPU = 256, 64
"""Tiles of a step of the autoencoder."""
_USUAL_PX, _LEAST_TILES = 64, 8
_LEAST_STEPS, _MOST_STEPS_CPU, _MOST_STEPS_GPU = 50, 400, 10_000
_WELLS_PER_STEP, _TILES_PER_WELL, _STEPS_OF_HEADS = 32, 32, 400
_SMALL = {"name": "small_cnn", "widths": [16, 32, 64, 128], "norm": "batch", "dense": [128]}
_NARROW, _DECODER = (24, 64, 96, 96, 64), (96, 64, 48, 32, 24)
"""A quarter of the width of the paper."""


@dataclass(frozen=True, kw_only=True)
class RecipeFacts:
    """What a recipe is made for.

    Attributes:
        dataset: its folder.
        run_dir: the folder of the run.
        channels: to train on.
        tiles: expected number.
        tile_px: their edge.
        conditions: wells of each condition; empty where every well was treated alike.
        by: column that a split keeps together.
    """

    dataset: str
    run_dir: str
    channels: tuple[str, ...]
    tiles: int
    tile_px: int
    conditions: Mapping[tuple[str, str], int]
    by: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What trains.

    Attributes:
        gpus: gpus of this machine.
        memory: memory of the first, in GiB; 0 without one.
        cores: cores that this process may use.
        bf16: whether the GPUs compute it; older ones have fp16 alone.
    """

    gpus: int
    memory: float
    cores: int
    bf16: bool = True

    @classmethod
    def here(cls) -> Machine:
        """Return this machine."""
        gpus = torch.cuda.device_count()
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30 if gpus else 0.0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return cls(gpus=gpus, memory=memory, cores=cores, bf16=bf16)

    def __str__(self) -> str:
        """Say what it is."""
        return f"{self.gpus} GPU(s) of {self.memory:.0f} GiB" if self.gpus else f"{self.cores} CPU cores, no GPU"


def recipe(facts: RecipeFacts, machine: Machine | None = None) -> str:
    """Return the YAML of a training.

    Args:
        facts: facts of the dataset.
        machine: it is sized for; None: this one.

    If wells were treated differently, the run learns to tell them apart (``triplet_mil``). If all were treated alike,
    or nothing is known about them, an autoencoder learns from pixels alone.
    """
    here = machine or Machine.here()
    middle = _triplets(facts, here) if tells_apart(facts) else _autoencoder(facts, here)
    steps = _steps(facts, here)
    train: dict[str, object] = {"steps": steps, "seed": 0, "save_every": max(1, steps // 4)}
    train |= {"precision": "bf16" if here.bf16 else "fp16", "channels_last": True} if here.gpus else {}
    processes = f" --nproc {here.gpus}" if here.gpus > 1 else ""
    text = "\n".join(
        [
            f"# A first training, sized for {here}:",
            f"#   wellstream train THIS.yaml{processes}",
            f"run_dir: {flow_text(facts.run_dir)}",
            "data:",
            f"  path: {flow_text(facts.dataset)}",
            f"  channels: {flow_text(list(facts.channels))}",
            *middle,
            f"train: {flow_text(train)}",
            "tracking: {wandb: disabled}",
        ]
    )
    parse_run_config(text, "the recipe")
    return text + "\n"


def tells_apart(facts: RecipeFacts) -> bool:
    """Return whether there are enough conditions and wells to learn to tell them apart."""
    several = sum(wells > 1 for wells in facts.conditions.values())
    return several >= _LEAST_CONDITIONS and len({name for name, _ in facts.conditions}) >= _LEAST_PERTURBATIONS


def heads_recipe(facts: RecipeFacts, targets: Sequence[str], *, run_dir: str, embeddings: str) -> str:
    """Return the YAML of linear heads on the run that ``recipe`` trains, where it tells conditions apart.

    Args:
        facts: facts of the dataset; ``facts.run_dir`` is the run of the frozen network.
        targets: targets of the dataset.
        run_dir: the folder of the heads.
        embeddings: the file with the embeddings of the tiles.
    """
    held = [name for name, _ in facts.conditions]
    parts = assign(pd.DataFrame({PERTURBATION: held}), _SPLIT)
    wells = sum(count for count, part in zip(facts.conditions.values(), parts, strict=True) if part == "train")
    plan = {"name": "bags", "bags": max(1, min(_WELLS_PER_STEP, wells)), "tiles": _TILES_PER_WELL}
    objective = {"name": "omics_heads", "pretrained": facts.run_dir, "targets": list(targets)}
    text = "\n".join(
        [
            "# Genes from the look of the cells: linear heads on the network of train.yaml, which stays as it is.",
            f"#   wellstream embed {facts.run_dir} --out {embeddings}",
            "#   wellstream train THIS.yaml",
            f"run_dir: {flow_text(run_dir)}",
            "data:",
            f"  path: {flow_text(facts.dataset)}",
            f"  channels: {flow_text(list(facts.channels))}",
            "  scale: per_tile_standardise",
            f"  embeddings: {flow_text(embeddings)}",
            "# The split of train.yaml: the test part has perturbations that neither network nor heads saw.",
            f"split: {flow_text(_SPLIT.facts())}",
            f"plan: {flow_text(plan)}",
            f"objective: {flow_text(objective)}",
            f"optim: {flow_text({'name': 'adamw', 'lr': 1e-3, 'weight_decay': 0.01})}",
            f"train: {flow_text({'steps': _STEPS_OF_HEADS, 'seed': 0, 'save_every': _STEPS_OF_HEADS // 4})}",
            "tracking: {wandb: disabled}",
        ]
    )
    parse_run_config(text, "the recipe")
    return text + "\n"


def _tiles(facts: RecipeFacts, here: Machine) -> int:
    """Return the tiles of a step of the autoencoder: fewer of large ones, whose pixels take the time."""
    usual = _TILES_PER_STEP_GPU if here.gpus else _TILES_PER_STEP_CPU
    fitting = int(usual * min(1.0, (_USUAL_PX / facts.tile_px) ** 2))
    return max(1, min(max(fitting, _LEAST_TILES), max(facts.tiles, 1)))


def _steps(facts: RecipeFacts, here: Machine) -> int:
    """Return steps that pass over the tiles a few times."""
    batch = _tiles(facts, here) * max(here.gpus, 1)
    passes, most = (_PASSES_GPU, _MOST_STEPS_GPU) if here.gpus else (_PASSES_CPU, _MOST_STEPS_CPU)
    return max(_LEAST_STEPS, min(most, passes * facts.tiles // batch))


def _triplets(facts: RecipeFacts, here: Machine) -> list[str]:
    """Return what tells conditions apart: wells treated alike lie nearer to each other than to others."""
    parts = assign(pd.DataFrame({PERTURBATION: [name for name, _ in facts.conditions]}), _SPLIT)
    conditions = min(_CONDITIONS, max(2, int((parts == "train").sum())))
    wells = min(4 if here.gpus else 2, max(facts.conditions.values()))
    tiles = 16 if here.gpus else 8
    backbone = {"name": "resnet18", "dense": [1024, 128]} if here.gpus else _SMALL
    plan = {"name": "balanced_bags", "by": [PERTURBATION, STIMULATION], "conditions": conditions}
    return [
        "  scale: per_tile_standardise",
        "  augment: {flip: true, rotate90: true}",
        f"# {conditions} conditions x {wells} wells x {tiles} tiles in a step; the test part has other perturbations.",
        f"split: {flow_text(_SPLIT.facts())}",
        f"plan: {flow_text({**plan, 'bags': wells, 'tiles': tiles})}",
        f"objective: {flow_text({'name': 'triplet_mil', 'backbone': backbone})}",
        f"optim: {flow_text({'name': 'adamw', 'lr': 1e-4 if here.gpus else 1e-3, 'weight_decay': 0.01})}",
    ]


def _autoencoder(facts: RecipeFacts, here: Machine) -> list[str]:
    """Return what needs no labels: cells are painted from few numbers, which then describe them."""
    widths = (
        {}
        if here.gpus
        else {"backbone": {"name": "alexnet", "widths": list(_NARROW)}, "decoder_widths": list(_DECODER)}
    )
    return [
        "  scale: per_tile_minmax",
        "  augment: {flip: true, rotate90: true}",
        "# All wells train: this first run looks at the cells, it predicts nothing.",
        f"split: {flow_text({'by': facts.by, 'fractions': [1.0, 0.0, 0.0]})}",
        f"plan: {flow_text({'name': 'tiles', 'tiles': _tiles(facts, here)})}",
        f"objective: {flow_text({'name': 'autoencoder', **widths})}",
        f"optim: {flow_text({'name': 'adam', 'lr': 1e-3, 'weight_decay': 0.0})}",
    ]
