"""Roles: what a class leaves out is named where it is defined."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
import torch

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.errors import RegistryError
from framework.objectives import (
    OBJECTIVES,
    Embeds,
    Gather,
    Losses,
    Objective,
    ObjectiveConfig,
    Output,
    Paints,
    Predicts,
    TripletMILConfig,
)
from framework.objectives.base import need_whole


class Options(ObjectiveConfig):
    name: Literal["mine"] = "mine"


class Learns(Objective):
    """What every objective defines."""

    profile_type: ClassVar[type[StrictModel]] = Options

    @classmethod
    def measure(cls, *given: Any) -> Options:
        return Options()

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        return {}

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        zero = torch.zeros(())
        return Losses(total=zero, count=zero, parts={})


def test_the_three_methods_of_every_objective_are_enough() -> None:
    need_whole("mine", Learns)
    assert isinstance(Learns(Options(), Options()), Objective)


def test_a_missing_method_is_named_with_its_class_at_registration() -> None:
    class Mine(Objective):
        profile_type = Options
        forward = Learns.forward

    sentence = "objective 'mine': class Mine does not define labels, measure; see Objective.labels"
    with pytest.raises(RegistryError) as error:
        OBJECTIVES.register("mine", Options)(Mine)
    assert str(error.value) == sentence
    assert "mine" not in OBJECTIVES.names()


def test_a_role_asks_for_its_methods() -> None:
    class Embedder(Learns, Embeds):
        pass

    class Predictor(Learns, Predicts):
        def predict(self, batch: Batch) -> torch.Tensor:
            return torch.zeros(0)

    class Painter(Learns, Paints):
        given = ()
        painted = ()

    for made, missing, where in (
        (Embedder, "embed_tiles", "Embeds.embed_tiles"),
        (Predictor, "outputs, predicts_per", "Predicts.outputs"),
        (Painter, "inpaint, truth", "Paints.inpaint"),
    ):
        with pytest.raises(RegistryError) as error:
            need_whole("mine", made)
        assert str(error.value) == (f"objective 'mine': class {made.__name__} does not define {missing}; see {where}")


def test_class_variables_are_asked_for_too() -> None:
    class Mine(Predicts):
        measure = Learns.measure
        labels = Learns.labels
        forward = Learns.forward

        def predict(self, batch: Batch) -> torch.Tensor:
            return torch.zeros(0)

        def outputs(self) -> list[Output]:
            return []

    with pytest.raises(RegistryError, match="class Mine does not define profile_type, predicts_per; see Objective"):
        need_whole("mine", Mine)
    Mine.profile_type = Options
    with pytest.raises(RegistryError, match=r"class Mine does not define predicts_per; see Predicts\.predicts_per"):
        need_whole("mine", Mine)
    Mine.predicts_per = "tile"
    need_whole("mine", Mine)


@pytest.mark.parametrize(
    ("method", "role"),
    [("predict", "Predicts"), ("outputs", "Predicts"), ("embed_tiles", "Embeds"), ("inpaint", "Paints")],
)
def test_a_method_without_its_role_would_never_be_called(method: str, role: str) -> None:
    made = type("Mine", (Learns,), {method: lambda self, batch: batch})
    with pytest.raises(RegistryError) as error:
        need_whole("mine", made)
    assert str(error.value) == (
        f"objective 'mine': class Mine defines {method} without the role it belongs to, so no command would call it; "
        f"write: class Mine({role})"
    )


def test_what_is_no_objective_and_options_of_another_kind_are_refused() -> None:
    with pytest.raises(RegistryError, match=r"class Options is not an Objective; write: class Options\(Objective\)"):
        OBJECTIVES.register("mine", Options)(Options)  # type: ignore[type-var]
    with pytest.raises(RegistryError, match=r"options must extend ObjectiveConfig; write: class Bare\(ObjectiveConfig"):
        OBJECTIVES.register("mine", type("Bare", (StrictModel,), {}))(Learns)


def test_what_a_config_declares() -> None:
    plain = TripletMILConfig()
    assert (plain.builds_on, plain.splits_rows, plain.needs_pixels, plain.requires_plan) == (None, False, True, None)
    assert TripletMILConfig(gradient_cache=4).splits_rows
    heads = OBJECTIVES.get("omics_heads").config
    given = heads(targets=("rna",), pretrained="runs/a")
    assert (given.builds_on, given.needs_pixels) == ("runs/a", False)
    assert given.located(lambda path: f"/at/{path}").builds_on == "/at/runs/a"
    assert heads(targets=("rna",)).located(lambda path: f"/at/{path}").builds_on is None
    pairs = OBJECTIVES.get("paired_inpainting").config(structure=("A",), protein=("B",))
    assert pairs.requires_plan == "pairs"
