"""Keys of a config: types in words, defaults, and meanings from the three places where they may be written."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from framework.config import NamedOptions, StrictModel, choice, choices
from framework.config.describe import headline, in_words, keys_of
from framework.config.template import OPEN, template
from framework.errors import ConfigError, RegistryError
from framework.registry import Registry

KNIVES: Registry[object] = Registry("knife")


class BreadConfig(NamedOptions):
    """A saw."""

    name: Literal["bread"] = "bread"


@KNIVES.register("bread", BreadConfig)
def bread() -> None:
    """Nothing is built here."""


class CarvingConfig(NamedOptions):
    """A long one."""

    name: Literal["carving"] = "carving"
    length_cm: float = Field(default=25, gt=0, le=60)
    """Of the blade."""


@KNIVES.register("carving", CarvingConfig)
def carving() -> None:
    """Nothing is built here."""


class Shelf(StrictModel):
    """Where things lie.

    Attributes:
        height_cm: above
            the floor.
        left, right: what stands there.
    """

    height_cm: int
    left: str = "salt"
    right: str | None = None


class Above(StrictModel):
    """What the kitchen extends."""

    doors: Annotated[int, Field(ge=1)] = 2
    """How many."""


class Kitchen(Above):
    """A kitchen, as a config

    says it.
    """

    name: str = Field(description="of the kitchen")
    knife: choice(KNIVES) = CarvingConfig(length_cm=30)  # type: ignore[valid-type]
    spare: choice(KNIVES, optional=True) = None  # type: ignore[valid-type]
    more: choices(KNIVES) = ()  # type: ignore[valid-type]
    shelf: Shelf = Shelf(height_cm=90)
    shelves: tuple[Shelf, ...] = ()
    cellar: Shelf | None = None
    light: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    size: tuple[int, int] = (3, 4)
    heat: Literal["gas", "wood"] = "gas"
    """What burns."""


KEYS = {key.name: key for key in keys_of(Kitchen)}


def test_types_in_words() -> None:
    assert {name: key.words for name, key in KEYS.items()} == {
        "doors": "whole number >= 1",
        "name": "text",
        "knife": "one knife",
        "spare": "one knife, null",
        "more": "list of one knife",
        "shelf": "mapping",
        "shelves": "list of mapping",
        "cellar": "mapping, null",
        "light": "mapping of text to number >= 0",
        "size": "list of 2: whole number, whole number",
        "heat": "`gas`, `wood`",
    }
    assert in_words(tuple[Literal["a", "b"], ...]) == "list of (`a`, `b`)"
    assert in_words(bool | int) == "true or false, whole number"


def test_meanings_stand_in_one_of_three_places() -> None:
    assert (KEYS["name"].meaning, KEYS["heat"].meaning, KEYS["doors"].meaning) == (
        "of the kitchen",
        "What burns.",
        "How many.",
    )
    assert KEYS["shelf"].meaning == "Where things lie."
    shelf = {key.name: key.meaning for key in keys_of(Shelf)}
    assert shelf == {
        "height_cm": "above the floor.",
        "left": "what stands there.",
        "right": "what stands there.",
    }
    assert headline(Kitchen) == "A kitchen, as a config"


def test_defaults_are_those_of_a_config_without_the_key() -> None:
    assert KEYS["name"].required
    assert not KEYS["cellar"].required
    assert KEYS["knife"].default == {"name": "carving", "length_cm": 30.0}
    assert KEYS["shelf"].default == {"height_cm": 90, "left": "salt", "right": None}
    assert KEYS["size"].default == [3, 4]


def test_a_template_is_the_config_that_its_open_keys_make() -> None:
    text = template(Kitchen)
    assert text.startswith("# A kitchen, as a config\n")
    plain = yaml.safe_load(text)
    assert [name for name, value in plain.items() if value == OPEN] == ["name"]
    assert Kitchen.from_plain({**plain, "name": "mine"}) == Kitchen(name="mine")
    assert "#   height_cm: ...  # whole number, required" in text, "sections that are not there are comments"
    assert "# One of: bread, carving." in text.replace(". One", "# One")


def test_an_entry_can_be_picked() -> None:
    picked = template(Kitchen, {"knife": "bread", "spare": "carving"})
    plain = yaml.safe_load(picked)
    assert plain["knife"] == {"name": "bread"}
    assert plain["spare"] == {"name": "carving", "length_cm": 25}
    with pytest.raises(ConfigError, match="heat: no such key in this config"):
        template(Kitchen, {"heat": "wood"})
    with pytest.raises(RegistryError, match=r"no knife is called 'bred'.*did you mean 'bread'"):
        template(Kitchen, {"knife": "bred"})


def test_a_choice_without_default_stays_open() -> None:
    class Drawer(StrictModel):
        knife: choice(KNIVES)  # type: ignore[valid-type]

    assert yaml.safe_load(template(Drawer)) == {"knife": {"name": OPEN}}
