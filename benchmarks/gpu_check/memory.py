"""Memory that grows is memory that runs out: the same evaluation again and again takes what the first took."""

from __future__ import annotations

import psutil
import torch

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import Scene
from framework.trainer import Signals
from framework.trainer.loop import evaluate

PASSES, SETTLED = 10, 3
_MOST_MB = 8.0
"""Of growth: what an allocator may round up."""


def evaluations(scene: Scene) -> Verdict:
    """Memory after each of ten passes over the validation part."""
    sections = {
        "split": {"by": "Metadata_Perturbation", "fractions": [0.6, 0.4, 0.0], "seed": 0},
        "train": {"evaluate_every": 1},
    }
    used = []
    with scene.training(scene.config("autoencoder", **sections)) as built:
        run = built.collaborators
        if run.validation is None:
            raise ValueError("no validation part")
        for _ in range(PASSES):
            evaluate(run, *run.validation, 600.0, Signals())
            scene.wait()
            used.append(round(_used_mb(scene), 2))
    grown = used[-1] - used[SETTLED - 1]
    expected = f"at most {_MOST_MB:g} MB more after {PASSES} passes than after {SETTLED}"
    return Verdict(passed=grown <= _MOST_MB, expected=expected, found={"used_mb": used, "grown_mb": round(grown, 2)})


def _used_mb(scene: Scene) -> float:
    if scene.device.type == "cuda":
        return torch.cuda.memory_reserved(scene.device) / 1e6
    return float(psutil.Process().memory_info().rss) / 1e6


CHECKS = (Check(name="memory_of_evaluations", work=evaluations),)
