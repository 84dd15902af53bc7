"""The whole config: defaults of the paper, contradictions as sentences, plugins, and the debug form."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fixtures.tiny_run import HEADS, MARKERS, TRIPLET
from pydantic import ValidationError

from framework.config import to_yaml
from framework.data.augmentations import SymmetriesConfig
from framework.errors import ConfigError
from framework.run import parse_run_config
from framework.run.train import config as module

PLACES = {"run": "r", "data": "d", "pretrained": "p"}


def parsed(template: str, *overrides: str, debug: bool = False) -> Any:
    return parse_run_config(template.format(**PLACES), "run.yaml", overrides, debug=debug)


def test_defaults_are_those_of_the_paper() -> None:
    text = (
        "{run_dir: r, data: {path: d}, plan: {name: bags, bags: 2, tiles: 2}, objective: {name: triplet_mil}, "
        "train: {steps: 9}}"
    )
    config = parse_run_config(text)
    assert config.split.fractions == (0.7, 0.1, 0.2)
    assert (config.split.by, config.split.seed) == ("Metadata_Perturbation", 0)
    assert (config.optim.name, config.optim.lr, config.optim.weight_decay) == ("adamw", 1e-4, 0.01)
    assert (config.objective.margin, config.objective.backbone.dense) == (0.2, (1024, 128))
    assert (config.train.precision, config.train.batch_norm, config.tracking.wandb) == ("fp32", "local", "offline")


@pytest.mark.parametrize("template", [TRIPLET, HEADS, MARKERS])
def test_yaml_of_a_config_is_the_config(template: str) -> None:
    config = parsed(template)
    assert parse_run_config(to_yaml(config)) == config


@pytest.mark.parametrize(
    ("template", "overrides", "sentence"),
    [
        (
            TRIPLET,
            ("split={fractions: [0.8, 0, 0.2]}", "train.evaluate_every=5"),
            "train.evaluate_every: needs a validation part: give split.fractions a second number above 0, "
            "list values under split.val, or leave evaluate_every out",
        ),
        (MARKERS, ("train.evaluate_every=5",), "train.evaluate_every: needs a validation part"),
        (
            TRIPLET,
            ("train.patience=3",),
            "train.patience: counts validation passes; set evaluate_every too, or leave patience out",
        ),
        (
            HEADS,
            ("data.embeddings=e.h5ad", "data.augment.flip=true"),
            "data.augment: changes pixels, and embeddings have none; leave it out, or leave out data.embeddings to "
            "train on pixels",
        ),
        (
            MARKERS,
            ("data.embeddings=e.h5ad",),
            "objective 'marker_regression' learns from pixels, not from embeddings: leave out data.embeddings",
        ),
        (TRIPLET, ("optim.warmup_steps=12",), "optim.warmup_steps: expected fewer than train.steps (12), found 12"),
        (
            TRIPLET,
            ("train.batch_norm=sync", "objective.gradient_cache=8"),
            "train.batch_norm: 'sync' needs all rows of a step at once, but objective.gradient_cache splits them",
        ),
        (TRIPLET, ("train.stepz=3",), "override 'train.stepz=3': train.stepz: unknown key; expected one of: steps,"),
        (TRIPLET, ("plan.name=bagz",), "no plan is called 'bagz'"),
        (
            TRIPLET,
            ("data.scale=log",),
            "data.scale: no scale is called 'log'; expected one of: imagenet, log1p_standardise, ",
        ),
        (TRIPLET, ("run_dir=",), "run_dir: expected"),
        (TRIPLET, ("data.channels=[A, B, A]",), "data.channels: the channel 'A' appears twice; name each once"),
        (TRIPLET, ("train.steps=999999999999999999999",), "train.steps: expected a number <= 1000000000, found 9999"),
        (TRIPLET, ("split.fractions=[0.5, 0.5]",), "split.fractions: entry 3 is missing, found a list of 2"),
    ],
)
def test_contradictions_are_sentences(template: str, overrides: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(template, *overrides)
    assert sentence in str(error.value)


def test_missing_keys_say_what_they_are() -> None:
    with pytest.raises(ConfigError) as error:
        parse_run_config("plan: {name: bags, bags: 2, tiles: 2}", "run.yaml")
    lines = str(error.value).splitlines()
    assert "run.yaml:1: run_dir: missing key; expected the folder to write the run to" in lines
    assert [line.split(": ")[1] for line in lines] == ["run_dir", "data", "objective", "train"]


def test_the_debug_form_applies_its_own_overrides() -> None:
    text = (
        TRIPLET
        + "debug: {{train.steps: 3, train.evaluate_every: null, objective.backbone: {{name: small_cnn, dense: [3]}}}}"
    )
    assert parsed(text).train.steps == 12
    small = parsed(text, "train.evaluate_every=4", debug=True)
    assert (small.train.steps, small.train.evaluate_every, small.objective.backbone.dense) == (3, None, (3,))


def test_a_mistake_in_the_debug_form_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"override 'train\.step=3': train\.step: unknown key"):
        parsed(TRIPLET + "debug: {{train.step: 3}}", debug=True)


def test_resolved_paths_are_absolute_and_urls_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    found = parsed(HEADS, "data.embeddings=e.h5ad").resolved()
    assert (found.run_dir, found.data.path, found.data.embeddings) == ("/r", "/d", "/e.h5ad")
    assert found.objective.builds_on == "/p"
    assert parsed(TRIPLET, "data.path=https://host/d").resolved().data.path == "https://host/d"
    assert parsed(TRIPLET).resolved().data.embeddings is None


def test_each_use_of_the_seed_has_a_stream_of_its_own() -> None:
    first, second = parsed(TRIPLET), parsed(TRIPLET, "train.seed=1")
    seeds = [config.seed_of(draw) for config in (first, second) for draw in module.Draw]
    assert len(set(seeds)) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert first.seed_of(module.Draw.WEIGHTS) == parsed(MARKERS).seed_of(module.Draw.WEIGHTS)


def test_options_of_another_kind_are_no_objective() -> None:
    config = parsed(TRIPLET)
    with pytest.raises(ValidationError, match="expected a mapping with the key 'name'"):
        type(config)(**{**dict(config), "objective": config.plan})


def test_one_augmentation_or_a_list_of_them_and_a_scale_by_its_name_or_as_a_mapping() -> None:
    def data(*overrides: str) -> Any:
        return parse_run_config(TRIPLET.format(run="r", data="d"), "run.yaml", overrides).data

    one = data("data.augment={flip: true}", "data.scale=unit_range")
    assert one.augment == (SymmetriesConfig(flip=True),)
    assert one.plain()["augment"] == {"flip": True, "rotate90": False}
    assert one.plain()["scale"] == "unit_range"
    several = data("data.augment=[{flip: true}, {name: symmetries, rotate90: true}]", "data.scale={name: none}")
    assert several.plain()["augment"] == [{"flip": True, "rotate90": False}, {"flip": False, "rotate90": True}]
    assert several.plain()["scale"] == "none"
    assert data("data.scale=null").scale is None
    with pytest.raises(ConfigError, match=r"data\.augment\.turn: unknown key; expected one of: name, flip, rotate90"):
        data("data.augment.turn=true")
    with pytest.raises(ConfigError, match=r"data\.augment\.1: no augmentation is called 'blur'; expected one of: symm"):
        data("data.augment=[{flip: true}, {name: blur}]")


def test_contradictions_of_several_sections_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        parsed(
            TRIPLET, "train.patience=3", "train.evaluate_every=5", "split={fractions: [0.8, 0, 0.2]}", "plan.name=bags",
            "optim.warmup_steps=50", "data.floor={A: 0.1}", "train.precision=fp8"
        )  # fmt: skip
    said = [
        re.sub(r"^(override '.*?'|run\.yaml:\d+): ", "", line).split(":")[0] for line in str(error.value).splitlines()
    ]
    assert said == [
        "data.floor", "train.precision", "train.evaluate_every", "optim.warmup_steps", "plan.by", "plan.conditions",
    ]  # fmt: skip
