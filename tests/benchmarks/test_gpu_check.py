"""The check of a GPU, as far as a processor can show it: each check finds the fault it is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import numbers, speed, waits
from benchmarks.gpu_check.__main__ import CHECKS, main
from benchmarks.gpu_check.check import Check, Verdict, line_of
from benchmarks.gpu_check.scene import Scene
from framework.objectives.autoencoder import Autoencoder
from framework.objectives.triplet_mil import TripletMIL


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("gpu-check"), "cpu")


def test_names_are_unique() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


def test_lines_are_json_and_a_failure_is_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert (
        main(["--device", "cpu", "--only", "versions", "--only", "race_late_copy", "--out", str(tmp_path / "f")]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert (tmp_path / "f").read_text().splitlines() == lines
    first, second = map(json.loads, lines)
    assert (first["check"], first["passed"], first["found"]["torch"]) == ("versions", True, torch.__version__)
    assert (second["passed"], second["expected"]) == (None, "a CUDA device")


def test_what_a_check_raises_is_a_failure_in_words(scene: Scene) -> None:
    def fails(_: Scene) -> Verdict:
        raise RuntimeError("the device is gone")

    line, failed = line_of(Check(name="x", work=fails), scene)
    assert failed
    assert json.loads(line)["found"] == {"error": "RuntimeError: the device is gone"}


@pytest.mark.parametrize(("measures", "failed"), [(True, False), (False, True)])
def test_a_gpu_that_is_too_small_fails_no_check_that_measures_alone(scene: Scene, measures: bool, failed: bool) -> None:
    def fills(_: Scene) -> Verdict:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert line_of(Check(name="x", work=fills, measures=measures), scene)[1] is failed


def test_no_gpu_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="2"):
        main(["--device", "cuda"])
    assert "expected a CUDA device, found none" in capsys.readouterr().err


def test_a_step_that_asks_the_device_is_found_with_its_line(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits.waits_per_step(scene).passed
    forward = TripletMIL.forward

    def asking(self: TripletMIL, *given: object) -> object:
        losses = forward(self, *given)  # type: ignore[arg-type]
        for _ in range(waits.MOST_WAITS + 1):
            losses.total.item()
        return losses

    monkeypatch.setattr(TripletMIL, "forward", asking)
    verdict = waits.waits_per_step(scene)
    assert verdict.passed is False
    assert verdict.found["waits"]["triplet_mil fp32"] == waits.MOST_WAITS + 1
    assert verdict.found["waits"]["autoencoder fp32"] == 0
    assert any(place.startswith("framework/trainer/gradients.py:") for place in verdict.found["where"])


def test_a_mask_as_an_index_asks_the_device(scene: Scene) -> None:
    values = torch.arange(4.0)
    with waits.waits(scene) as said:
        values[torch.tensor([0, 2])]
    assert said == []
    with waits.waits(scene) as said:
        values[values > 1]
    assert said == ["elsewhere"]


def test_a_step_that_does_not_repeat_and_a_gradient_that_is_off_are_found(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert numbers.repeats(scene).passed
    assert numbers.agrees_with_float64(scene).passed
    forward, calls = Autoencoder.forward, iter(range(1000))

    def noisy(self: Autoencoder, *given: object) -> object:
        losses = forward(self, *given)  # type: ignore[arg-type]
        wrong = 1 + 0.01 * next(calls)
        return type(losses)(total=losses.total * wrong, count=losses.count, parts=losses.parts)

    monkeypatch.setattr(Autoencoder, "forward", noisy)
    assert numbers.repeats(scene).passed is False
    off = numbers.agrees_with_float64(scene)
    assert off.passed is False
    assert off.found["autoencoder"] > numbers.FARTHEST > off.found["triplet_mil"]


def test_idle_time_is_what_no_span_covers() -> None:
    assert speed.idle_between([(0, 2), (1, 3), (5, 10)]) == pytest.approx(0.2)
    assert speed.idle_between([(0, 10), (2, 3)]) == 0
    assert speed.idle_between([]) == 1


def test_parts_of_a_step_add_up_and_operations_are_counted(scene: Scene) -> None:
    found = speed.resnet18(scene).found
    assert sum(found["shares"].values()) == pytest.approx(1, abs=0.01)
    assert set(found["shares"]) == {"forward", "backward", "optimiser", "input"}
    # 8 tiles of 3 x 32 x 32; the stem alone: 8 x 16 x 16 places, 7 x 7 x 3 inputs, 8 filters, 2 operations, and its
    # filters' gradient as many.
    assert found["operations_per_step"] > 2 * 2 * 8 * 16 * 16 * 7 * 7 * 3 * 8
