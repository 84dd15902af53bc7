# ruff: noqa: E501 - pinned messages stand on one line
from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from framework.config import StrictModel, choice, config_digest, load_config, parse_config, to_yaml
from framework.errors import ConfigError
from framework.registry import Registry

SHAPES: Registry[Any] = Registry("shape")


class Round(StrictModel):
    name: Literal["round"] = "round"
    radius_px: float = Field(default=1.0, gt=0)


class Nested(StrictModel):
    name: Literal["nested"] = "nested"
    inner: choice(SHAPES)  # type: ignore[valid-type]


SHAPES.register("round", Round)(Round)
SHAPES.register("nested", Nested)(Nested)


class Sub(StrictModel):
    steps: int = Field(ge=1, description="the number of optimiser steps")
    mode: Literal["fast", "slow"] = "fast"
    sizes: tuple[int, ...] = (1, 2)
    by_name: dict[str, Round] = Field(default={})
    share: float | None = None


class Top(StrictModel):
    train: Sub
    shape: choice(SHAPES) = Round()  # type: ignore[valid-type]
    on: bool = False

    @model_validator(mode="after")
    def _agree(self) -> Top:
        if self.on and self.train.mode == "slow":
            raise ValueError("on: true needs train.mode: fast")
        return self


GOOD = "train: {steps: 3}\n"

BAD = {
    "unknown key": ("train: {steps: 3, stpes: 4}", "c:1: train.stpes: unknown key; expected one of: steps, mode, sizes, "
                    "by_name, share; did you mean 'steps'?"),
    "unknown section": ("train: {steps: 3}\ntrian: 4", "c:2: trian: unknown key; expected one of: train, shape, on; "
                        "did you mean 'train'?"),
    "missing key": ("train: {mode: slow}", "c:1: train.steps: missing key; expected the number of optimiser steps"),
    "float for int": ("train:\n  steps: 3.5", "c:2: train.steps: expected a whole number, found 3.5"),
    "text for int": ("train:\n  steps: many", "c:2: train.steps: expected a whole number, found 'many'"),
    "bool for int": ("train:\n  steps: true", "c:2: train.steps: expected a whole number, found true"),
    "text for bool": ("train: {steps: 1}\non: yes", "c:2: on: expected true or false, found 'yes'"),
    "bound": ("train: {steps: 0}", "c:1: train.steps: expected a number >= 1, found 0"),
    "literal": ("train: {steps: 1, mode: fats}", "c:1: train.mode: expected one of: fast, slow, found 'fats'; "
                "did you mean 'fast'?"),
    "list item": ("train:\n  steps: 1\n  sizes:\n  - 1\n  - x", "c:5: train.sizes.1: expected a whole number, found 'x'"),
    "list for mapping": ("train: [1]", "c:1: train: expected a mapping, found a list"),
    "scalar for list": ("train: {steps: 1, sizes: 3}", "c:1: train.sizes: expected a list, found 3; write [3]"),
    "null": ("train: {steps: }", "c:1: train.steps: expected a whole number, found nothing"),
    "choice without name": ("train: {steps: 1}\nshape: {radius_px: 2}", "c:2: shape: missing key 'name'; "
                            "expected one of: nested, round"),
    "choice unknown": ("train: {steps: 1}\nshape: {name: ruond}", "c:2: shape: no shape is called 'ruond'; "
                       "expected one of: nested, round; did you mean 'round'?"),
    "choice option": ("train: {steps: 1}\nshape:\n  name: round\n  radius: 2", "c:4: shape.radius: unknown key; "
                      "expected one of: name, radius_px; did you mean 'radius_px'?"),
    "choice bound": ("train: {steps: 1}\nshape: {name: round, radius_px: 0}", "c:2: shape.radius_px: expected a number > "
                     "0.0, found 0"),
    "choice within a choice": ("train: {steps: 1}\nshape:\n  name: nested\n  inner:\n    name: round\n    radios_px: 1",
                               "c:6: shape.inner.radios_px: unknown key; expected one of: name, radius_px; "
                               "did you mean 'radius_px'?"),
    "mapping of sections": ("train:\n  steps: 1\n  by_name:\n    a:\n      radius: 1", "c:5: train.by_name.a.radius: unknown "
                            "key; expected one of: name, radius_px; did you mean 'radius_px'?"),
    "contradiction": ("train: {steps: 1, mode: slow}\non: true", "c:1: (top level): on: true needs train.mode: fast"),
    "top level": ("- 1", "c:1: (top level): expected a mapping of config sections, found a list"),
    "two mistakes": ("train: {steps: 0, mode: x}", "c:1: train.steps: expected a number >= 1, found 0\n"
                     "c:1: train.mode: expected one of: fast, slow, found 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_config_says_exactly(name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Top, "c")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps=x", "override 'train.steps=x': train.steps: expected a whole number, found 'x'"),
        ("train.stepz=1", "override 'train.stepz=1': train.stepz: unknown key; expected one of: steps, mode, sizes, "
         "by_name, share; did you mean 'steps'?"),
        ("nonsense", "override 'nonsense': expected dotted.path=value, as in train.steps=100"),
        ("train.steps.deep=1", "override 'train.steps.deep=1': there is no key 'deep' to set"),
        ("train.sizes.7=1", "override 'train.sizes.7=1': there is no key '7' to set"),
        ("trian.steps=1", "override 'trian.steps=1': trian: unknown key; expected one of: train, shape, on; did you "
         "mean 'train'?"),
    ],
)  # fmt: skip
def test_bad_override_says_exactly(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("train: {steps: 3, sizes: [4]}\n", Top, "c", [override])
    assert str(caught.value) == message


def test_an_override_is_not_blamed_for_a_section_of_a_mapping() -> None:
    with pytest.raises(ConfigError, match=r"^config: trian: unknown key"):
        load_config({"train": {"steps": 3}, "trian": {"steps": 3}}, Top, ["trian.steps=4"])


@pytest.mark.parametrize(("text", "found"), [("- 1", "a list"), ("null", "nothing"), ("word", "'word'")])
def test_a_file_that_is_no_mapping_is_named_with_overrides_too(text: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Top, "c", ["train.steps=1"])
    assert str(caught.value) == f"c:1: (top level): expected a mapping of config sections, found {found}"


def test_overrides_set_values_lists_and_new_sections(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("train: {steps: 3, sizes: [4, 5]}\n")
    overrides = ["train.steps=7", "train.sizes.1=9", "shape.name=round", "shape.radius_px=2e1", "train.share=0.5"]
    top = load_config(file, Top, overrides)
    assert (top.train.steps, top.train.sizes, top.train.share) == (7, (4, 9), 0.5)
    assert top.shape == Round(radius_px=20.0)
    # One override may be a text alone, not only the one text of a list.
    assert load_config(file, Top, "train.steps=9").train.steps == 9


def test_resolved_config_round_trips_and_keeps_its_digest() -> None:
    top = parse_config("train: {steps: 3}\nshape: {name: nested, inner: {name: round, radius_px: 4}}\n", Top)
    again = parse_config(to_yaml(top), Top)
    assert again == top
    assert config_digest(again) == config_digest(top)
    assert config_digest(parse_config(GOOD, Top)) != config_digest(top)


def test_sections_do_not_change() -> None:
    with pytest.raises(ValidationError):
        parse_config(GOOD, Top).train.steps = 4  # type: ignore[misc]


def test_the_resolved_copy_quotes_every_text_that_would_read_as_something_else() -> None:
    class Names(StrictModel):
        names: tuple[str, ...]
        by: dict[str, float]

    told = ("1e4", "0042", "1:30", "yes", "true", "1.5", "7", "~", "=", "a: b", "", "2026-01-02", ".inf", "<<", "0x1f")
    config = Names(names=told, by={"0042": 1e-7, "1.00": 2.0})
    assert parse_config(to_yaml(config), Names) == config


def test_an_override_sets_a_numbered_key_of_a_mapping() -> None:
    config = parse_config(GOOD, Top, overrides=["train.by_name.1.name=round", "train.by_name.1.radius_px=2"])
    assert config.train.by_name["1"].radius_px == 2.0


@pytest.mark.parametrize("written", [".inf", "-.inf", ".nan", "1e400"])
def test_a_number_that_is_not_finite_is_named_wherever_it_stands(written: str) -> None:
    with pytest.raises(ConfigError, match=r"^c:2: shape\.radius_px: expected a finite number, found -?(inf|nan)$"):
        parse_config(f"train: {{steps: 3}}\nshape: {{name: round, radius_px: {written}}}", Top, "c")
    with pytest.raises(ConfigError, match=r"override 'train\.share=.*train\.share: expected a finite number"):
        parse_config(GOOD, Top, "c", [f"train.share={written}"])
    with pytest.raises(ConfigError, match=r"train\.sizes\.1: expected a finite number, found inf"):
        load_config({"train": {"steps": 3, "sizes": [1, float("inf")]}}, Top)
