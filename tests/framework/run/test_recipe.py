"""Recipes are configs, and what they ask for follows from labels and machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from framework.run import RunConfig, parse_run_config
from framework.run.recipe import Machine, RecipeFacts, recipe

CPU, GPUS = Machine(gpus=0, memory=0.0, cores=2), Machine(gpus=4, memory=80.0, cores=32)
LABELS = {(f"gene{number}", "none"): 3 for number in range(10)}


def made(machine: Machine, **changes: Any) -> RunConfig:
    facts = {
        "dataset": "p/dataset", "run_dir": "p/run", "channels": ("DNA", "ER: 2"), "tiles": 1000, "tile_px": 64,
        "conditions": {}, "by": "Metadata_Well",
    }  # fmt: skip
    return parse_run_config(recipe(RecipeFacts(**(facts | changes)), machine))


def test_without_labels_pixels_teach() -> None:
    config = made(CPU)
    assert (config.objective.name, config.data.path, config.data.channels) == (
        "autoencoder",
        "p/dataset",
        ("DNA", "ER: 2"),
    )
    # 4 passes over 1000 tiles in steps of 64
    assert config.train.steps == 62


@pytest.mark.parametrize(
    ("conditions", "objective"),
    [
        (LABELS, "triplet_mil"),
        (dict(list(LABELS.items())[:3]), "autoencoder"),
        (dict.fromkeys(LABELS, 1), "autoencoder"),
    ],
)
def test_conditions_of_several_wells_are_told_apart(conditions: dict[Any, int], objective: str) -> None:
    config = made(CPU, conditions=conditions)
    assert config.objective.name == objective


def test_large_tiles_make_small_steps() -> None:
    # a tile of 256 px has 16 times the pixels of one of 64 px
    assert [made(CPU, tile_px=size).plan.tiles for size in (64, 256)] == [64, 8]  # type: ignore[attr-defined]


def test_gpus_get_more_of_all() -> None:
    small, large = made(CPU, tiles=10**6), made(GPUS, tiles=10**6)
    assert (small.train.steps, large.train.steps) == (400, 10_000)
    assert (small.train.precision, large.train.precision) == ("fp32", "bf16")
    assert made(replace(GPUS, bf16=False)).train.precision == "fp16"
    assert "--nproc 4" in recipe(
        RecipeFacts(dataset="d", run_dir="r", channels=("a",), tiles=9, tile_px=64, conditions={}, by="source"), GPUS
    )
