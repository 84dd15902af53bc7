"""The example of docs/weights.md is the objective of a run, and its tables name every rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from framework.models.options import FirstLayer
from framework.objectives.triplet_mil import TripletMILConfig
from framework.run import parse_run_config

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "weights.md").read_text()


def test_the_example_is_a_config() -> None:
    text, _ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    whole = f"run_dir: run\ndata: {{path: data}}\nplan: {{name: bags, bags: 2, tiles: 2}}\ntrain: {{steps: 1}}\n{text}"
    objective = parse_run_config(whole, "docs/weights.md").objective
    assert isinstance(objective, TripletMILConfig)
    assert objective.published is not None
    assert objective.published.weights == "resnet18.pth"


def test_every_rule_of_the_first_layer_is_described() -> None:
    assert set(re.findall(r"^\| `(\w+)`(?: \(default\))? \| .*$", PAGE, re.MULTILINE)) >= set(get_args(FirstLayer))
