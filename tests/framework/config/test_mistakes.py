"""All mistakes of a config are said at once, also those that sections say of keys which are right."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from framework.config import StrictModel, choice, contradiction, parse_config
from framework.errors import ConfigError
from framework.registry import Registry

SHAPES: Registry[Any] = Registry("shape")


class Box(StrictModel):
    name: Literal["box"] = "box"
    width: int = Field(default=1, ge=1)
    height: int = 1
    unit: str | None = None

    @model_validator(mode="after")
    def _lies(self) -> Box:
        if self.height > self.width:
            raise contradiction(f"must not exceed width ({self.width})", "height")
        return self

    @model_validator(mode="after")
    def _has_a_unit(self) -> Box:
        if self.height > 100 and self.unit is None:
            raise ValueError("a large box needs a unit")
        return self


SHAPES.register("box", Box)(Box)


class Train(StrictModel):
    steps: int = Field(ge=1, description="the number of steps")
    every: int | None = None
    patience: int | None = None

    @model_validator(mode="after")
    def _counts(self) -> Train:
        if self.patience is not None and self.every is None:
            raise contradiction("needs every", "patience")
        return self


class Whole(StrictModel):
    train: Train
    shape: choice(SHAPES) = Box()  # type: ignore[valid-type]
    boxes: tuple[Box, ...] = ()
    on: bool = False

    @model_validator(mode="after")
    def _short(self) -> Whole:
        if self.train.steps > 10 * self.shape.width:
            raise contradiction("more than ten times shape.width", "train", "steps")
        return self

    @model_validator(mode="after")
    def _off(self) -> Whole:
        if self.on and self.boxes:
            raise contradiction("there is nothing to put on boxes", "on")
        return self


def said(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Whole, "c", overrides)
    return str(caught.value).splitlines()


def test_every_check_of_every_section_is_asked() -> None:
    text = """
train:
  steps: 900
  patience: 3
shape:
  name: box
  width: 50
  height: 101
boxes:
- {width: 2}
- {width: 3, height: 4}
"""
    assert said(text) == [
        "c:3: train.steps: more than ten times shape.width",
        "c:4: train.patience: needs every",
        "c:5: shape: a large box needs a unit",
        "c:8: shape.height: must not exceed width (50)",
        "c:11: boxes.1.height: must not exceed width (3)",
    ]


def test_mistakes_of_every_kind_stand_in_one_message() -> None:
    text = """
train: {steps: many, patience: 3, stpes: 4}
shape: {name: box, height: 200}
on: 3
"""
    assert said(text, "shape.widht=3") == [
        "override 'shape.widht=3': shape.widht: unknown key; expected one of: name, width, height, unit; did you mean "
        "'width'?",
        "c:2: train.steps: expected a whole number, found 'many'",
        "c:2: train.stpes: unknown key; expected one of: steps, every, patience; did you mean 'steps'?",
        "c:2: train.patience: needs every",
        "c:3: shape.height: must not exceed width (1)",
        "c:3: shape: a large box needs a unit",
        "c:4: on: expected true or false, found 3",
    ]


def test_the_whole_is_checked_where_its_sections_are_right_but_for_a_contradiction() -> None:
    assert said("train: {steps: 11, patience: 1}\non: true\nboxes: [{width: 2}]") == [
        "c:1: train.patience: needs every",
        "c:1: train.steps: more than ten times shape.width",
        "c:2: on: there is nothing to put on boxes",
    ]


def test_a_check_of_a_key_that_is_wrong_decides_nothing() -> None:
    # every is wrong, so nobody knows whether patience has what it needs.
    assert said("train: {steps: 1, patience: 3, every: x}") == ["c:1: train.every: expected a whole number, found 'x'"]


def test_a_missing_key_hides_no_other_mistake() -> None:
    assert said("train: {patience: 3}\nshape: {height: 2, name: box}") == [
        "c:1: train.steps: missing key; expected the number of steps",
        "c:1: train.patience: needs every",
        "c:2: shape.height: must not exceed width (1)",
    ]


def test_all_overrides_without_a_place_and_all_keys_written_twice_are_said() -> None:
    assert said("train: {steps: 1}", "nonsense", "train.steps.deep=1", "on=true") == [
        "override 'nonsense': expected dotted.path=value, as in train.steps=100",
        "override 'train.steps.deep=1': there is no key 'deep' to set",
    ]
    assert said("on: true\ntrain: {steps: 1, steps: 2}\non: false") == [
        "c:2: steps: key written twice, first on line 2",
        "c:3: on: key written twice, first on line 1",
    ]
