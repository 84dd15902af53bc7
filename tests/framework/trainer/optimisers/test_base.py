"""An optimiser is one function and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from fixtures.own_entries import reopened
from fixtures.tiny_run import TRIPLET, config, same_bits, tiny_data, weights

from framework.errors import ConfigError
from framework.run import fit, load_run_config
from framework.trainer.optimisers import OPTIMISERS, AdamWConfig, OptimConfig, SgdConfig


def test_an_optimiser_of_ones_own_trains_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reopened(monkeypatch, OPTIMISERS)

    class OfTheLabConfig(OptimConfig):
        name: Literal["of_the_lab"] = "of_the_lab"
        momentum: float = 0.0

    @OPTIMISERS.register("of_the_lab", OfTheLabConfig)
    def of_the_lab(parameters: list[torch.nn.Parameter], options: OfTheLabConfig) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, options.lr, options.momentum, weight_decay=options.weight_decay)

    data = tmp_path / "data"
    tiny_data(data)
    own = ("optim={name: of_the_lab, momentum: 0.5, lr: 0.01}", "train.save_every=2")
    theirs = ("optim={name: sgd, betas: [0.5, 0], lr: 0.01}", "train.save_every=2")
    fit(config(TRIPLET, *own, "train.steps=2", run=tmp_path / "own", data=data))
    fit(config(TRIPLET, *own, "train.steps=4", run=tmp_path / "own", data=data))
    fit(config(TRIPLET, *theirs, "train.steps=4", run=tmp_path / "theirs", data=data))
    assert same_bits(weights(tmp_path / "own", 4), weights(tmp_path / "theirs", 4))
    assert load_run_config(tmp_path / "own" / "config.yaml").optim == OfTheLabConfig(momentum=0.5, lr=0.01)


def test_the_section_may_leave_out_the_name(tmp_path: Path) -> None:
    assert config(TRIPLET, "optim={lr: 0.5}", run=tmp_path, data=tmp_path).optim == AdamWConfig(lr=0.5)


def test_what_is_no_optimiser_or_no_option_of_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optim: no optimiser is called 'adamx'; expected one of: adam, adamw, sgd"):
        config(TRIPLET, "optim={name: adamx}", run=tmp_path, data=tmp_path)
    with pytest.raises(ConfigError, match=r"optim\.beta: unknown key; expected one of: name, lr, .*, betas"):
        config(TRIPLET, "optim={lr: 0.1, beta: 1}", run=tmp_path, data=tmp_path)


def test_own_options_stand_where_they_always_stood() -> None:
    keys = ["name", "lr", "weight_decay", "betas", "schedule", "warmup_steps", "clip_norm"]
    assert list(SgdConfig().plain()) == keys
