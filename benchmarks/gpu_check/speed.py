"""How fast training is against what the device can do, and where the time of a step goes.

Rows: ResNet-18 on tiles of 128 px and ViT-S/16 on tiles of 224 px, three channels, bf16, fed from disk. On the CPU the
same code runs with networks of a few channels, to show that it runs; its numbers say nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import Scene, ended
from benchmarks.steps import Setting, Trainer
from benchmarks.synthetic import draw_pixels, write_dataset
from framework.data.batch import Batch

LEAST_OF_RESIDENT = 0.97
_BENCHMARK_S = 200
_WARM_UP, _STEPS = 3, 6
_ROOT = Path(__file__).resolve().parents[2]
PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bf16 operations per second with float32 sums, by a part of the name, the first that fits (NVIDIA's data
sheets)."""


def from_disk(scene: Scene) -> Verdict:
    """``python -m benchmarks training --device cuda``: batches from disk against batches that lie on the GPU."""
    out = scene.folder / "benchmarks"
    command = [sys.executable, "-m", "benchmarks", "training", "--device", "cuda", "--out", str(out)]
    done = ended(command, timeout_s=_BENCHMARK_S)
    files = list(out.glob("training_*.json"))
    if not files:
        return Verdict(passed=False, expected="a result", found={"said": (done.stdout + done.stderr)[-500:]})
    targets = [target for case in json.loads(files[0].read_text())["cases"] for target in case["targets"]]
    ratios = {target["arm"]: target["ratio"] for target in targets}
    passed = min(ratios.values()) >= LEAST_OF_RESIDENT
    return Verdict(passed=passed, expected=f"at least {LEAST_OF_RESIDENT} of resident batches", found=ratios)


def resnet18(scene: Scene) -> Verdict:
    """ResNet-18 on 720 tiles of 3 x 128 x 128."""
    return _row(scene, Setting(bags=60, tiles=12, fast=True), 128)


def vit_small(scene: Scene) -> Verdict:
    """ViT-S/16 on 192 tiles of 3 x 224 x 224."""
    return _row(scene, Setting(bags=24, tiles=8, fast=True, network="vit", width=384), 224)


def compiled(scene: Scene) -> Verdict:
    """Steps of ResNet-18 as they are and compiled, on batches that lie on the device."""
    rates = {}
    for name, chosen in (("plain", False), ("compiled", True)):
        setting = _fitting(scene, Setting(bags=60, tiles=12, fast=True, compiled=chosen))
        with closing(_trainer(scene, setting, 128 if _is_gpu(scene) else 32, f"compile-{name}")) as trainer:
            batches = _resident(trainer)
            trainer.run(islice(batches, _WARM_UP))
            rates[name] = round(setting.batch / _seconds_per_step(trainer, batches), 1)
    expected = "tiles per second of both; compiled is worth its start where it is faster"
    return Verdict(passed=None, expected=expected, found=rates)


def _row(scene: Scene, setting: Setting, size_px: int) -> Verdict:
    """Rate, share of the device's peak, shares of a step, and how long the GPU had nothing to do."""
    setting, size_px = _fitting(scene, setting), size_px if _is_gpu(scene) else 32
    with closing(_trainer(scene, setting, size_px, f"row-{setting.network}")) as trainer:
        with closing(trainer.loader.batches(0, 1)) as first:  # type: ignore[type-var]
            operations = _operations(trainer, next(first))
        phases = Phases(trainer, scene)
        loader = trainer.new_loader()
        with closing(loader.batches(0, _WARM_UP + 2 * _STEPS)) as fed:  # type: ignore[type-var]
            trainer.run(islice(fed, _WARM_UP))
            phases.forget()
            began = time.perf_counter()
            trainer.run(islice(fed, _STEPS))
            seconds = (time.perf_counter() - began) / _STEPS
            shares = phases.shares()
            idle = _idle_share(lambda: trainer.run(islice(fed, _STEPS))) if _is_gpu(scene) else None
    peak = _peak(scene)
    found = {
        "tiles_per_s": round(setting.batch / seconds, 1),
        "step_ms": round(seconds * 1e3, 2),
        "operations_per_step": operations,
        "share_of_peak": round(operations / seconds / peak, 3) if peak else None,
        "shares": {name: round(share, 3) for name, share in shares.items()},
        "idle_share": None if idle is None else round(idle, 3),
    }
    expected = "measured only: 'input' and the idle share near 0 mean that data do not limit it"
    return Verdict(passed=None, expected=expected, found=found)


class Phases:
    """When a step's parts began, on the clock of the device: forward, backward, optimiser, and input until the next.

    The all-reduce of several ranks is inside backward, beside it.
    """

    def __init__(self, trainer: Trainer, scene: Scene) -> None:
        self._is_gpu = _is_gpu(scene)
        self._marks: list[tuple[str, Any]] = []
        trainer.objective.register_forward_pre_hook(lambda *_: self._mark("forward"))
        trainer.objective.register_forward_hook(lambda *_: self._mark("backward"))
        trainer.optimiser.register_step_pre_hook(lambda *_: self._mark("optimiser"))
        trainer.optimiser.register_step_post_hook(lambda *_: self._mark("input"))

    def forget(self) -> None:
        """Begin anew."""
        self._marks.clear()

    def shares(self) -> dict[str, float]:
        """Return the share of each part, of the time from the first mark to the last; the device is waited for."""
        spent: dict[str, float] = {"forward": 0.0, "backward": 0.0, "optimiser": 0.0, "input": 0.0}
        for (name, began), (_, ended_at) in zip(self._marks[:-1], self._marks[1:], strict=True):
            spent[name] += began.elapsed_time(ended_at) if self._is_gpu else ended_at - began
        whole = sum(spent.values())
        return {name: each / whole for name, each in spent.items()}

    def _mark(self, name: str) -> None:
        if not self._is_gpu:
            self._marks.append((name, time.perf_counter()))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append((name, event))


def _trainer(scene: Scene, setting: Setting, size_px: int, name: str) -> Trainer:
    folder = scene.folder / name
    dataset = write_dataset(folder / "tar", draw_pixels(64 * setting.tiles, size_px), setting.tiles)
    return Trainer(dataset, setting, scene.ranks("bf16" if _is_gpu(scene) else "fp32"), folder)


def _fitting(scene: Scene, setting: Setting) -> Setting:
    """Return the setting; on a CPU that of a network which takes seconds."""
    if _is_gpu(scene):
        return setting
    return Setting(**{**vars(setting), "bags": 4, "tiles": 2, "width": 8, "fast": False})


def _resident(trainer: Trainer) -> list[Batch]:
    with closing(trainer.loader.batches(0, _WARM_UP + _STEPS)) as batches:  # type: ignore[type-var]
        return list(batches)


def _operations(trainer: Trainer, batch: Batch) -> int:
    """Return the floating-point operations of forward and backward; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        trainer.run([batch])
    return int(counter.get_total_flops())


def _seconds_per_step(trainer: Trainer, batches: list[Batch]) -> float:
    """Return the median of three runs."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        trainer.run(batches)
        taken.append((time.perf_counter() - began) / len(batches))
    return median(taken)


def _idle_share(work: Callable[[], object]) -> float:
    """Return the share of the time in which no kernel ran, by the profiler."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        work()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in found.events()
        # What names a stretch of kernels, as a step of the optimiser, also covers the gaps between them.
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    )
    return idle_between(spans)


def idle_between(spans: list[tuple[float, float]]) -> float:
    """Return the share of the time from the first start to the last end that no span covers; spans are sorted."""
    if not spans:
        return 1.0
    first, busy, until = spans[0][0], 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return 1 - busy / (until - first) if until > first else 0.0


def _peak(scene: Scene) -> float | None:
    if not _is_gpu(scene):
        return None
    name = torch.cuda.get_device_name(scene.device)
    return next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)


def _is_gpu(scene: Scene) -> bool:
    return scene.device.type == "cuda"


CHECKS = (
    Check(name="from_disk", work=from_disk, cuda=True),
    Check(name="resnet18_128px", work=resnet18, measures=True),
    Check(name="vit_small_224px", work=vit_small, measures=True),
    Check(name="compiled", work=compiled, cuda=True, measures=True),
)
