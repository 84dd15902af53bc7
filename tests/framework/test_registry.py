from __future__ import annotations

import pytest

from framework.config import StrictModel
from framework.errors import RegistryError, did_you_mean
from framework.registry import Registry


class Options(StrictModel):
    name: str = "a"


def test_entries_are_found_by_name_and_listed_in_order() -> None:
    registry: Registry[type[object]] = Registry("thing")
    registry.register("b", Options)(int)
    registry.register("a", Options)(str)
    assert registry.names() == ["a", "b"]
    assert registry.get("b").build is int
    assert registry.get("b").config is Options


def test_a_name_registered_twice_is_an_error_that_names_both() -> None:
    registry: Registry[type[object]] = Registry("thing")
    registry.register("a", Options)(int)
    with pytest.raises(RegistryError, match=r"^thing 'a' is registered twice: by builtins and by builtins; rename one"):
        registry.register("a", Options)(str)
    assert registry.get("a").build is int


def test_unknown_name_lists_all_and_the_nearest() -> None:
    registry: Registry[type[object]] = Registry("thing")
    registry.register("triplet", Options)(int)
    with pytest.raises(RegistryError) as caught:
        registry.get("tripelt")
    assert str(caught.value) == "no thing is called 'tripelt'; expected one of: triplet; did you mean 'triplet'?"


def test_did_you_mean_ignores_case_and_keeps_silent_when_far() -> None:
    assert did_you_mean("HOECHST", ["Hoechst", "Actin"]) == "; did you mean 'Hoechst'?"
    assert did_you_mean("zzz", ["Hoechst", "Actin"]) == ""
