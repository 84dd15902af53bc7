"""How processes end: too many for the GPUs, out of memory, told to stop; and a group of one rank that ends well."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import Scene, ended
from benchmarks.ranks import found_here
from framework.exit_codes import EXIT_MISTAKE, EXIT_REQUEUE

_PATIENCE_S = 120.0
_LEFT_FREE = 1 << 30
"""Bytes of the GPU that the process which runs out finds free, beside what CUDA takes for itself."""


def more_processes_than_gpus(scene: Scene) -> Verdict:
    """One process more than there are GPUs: refused in one sentence, before anything is trained."""
    count = torch.cuda.device_count() + 1
    done = ended(scene.command(scene.config("triplet_mil", train={"steps": 2}), "crowd", "--nproc", str(count)))
    said = _said(done.stderr)
    passed = done.returncode == EXIT_MISTAKE and len(said) == 1 and f"{count} processes" in said[0]
    expected = f"exit code {EXIT_MISTAKE} and one sentence with '{count} processes'"
    return Verdict(passed=passed, expected=expected, found={"exit_code": done.returncode, "said": said})


def group_of_one(scene: Scene) -> Verdict:
    """One rank with a process group (NCCL on a GPU, gloo else) ends with the weights of one without."""
    train = {"steps": 4, "save_every": 4, "deterministic": True}
    alone = ended(scene.command(scene.config("triplet_mil", train=train), "alone"))
    config = scene.command(scene.config("triplet_mil", train=train), "group")[-1]
    run = ["-m", "torch.distributed.run", "--nproc-per-node", "1", "-m", "launch.train", config]
    group = subprocess.run(  # noqa: S603
        [sys.executable, *run], capture_output=True, text=True, timeout=_PATIENCE_S, check=False, env=found_here()
    )
    found: dict[str, Any] = {"exit_codes": [alone.returncode, group.returncode]}
    passed = found["exit_codes"] == [0, 0]
    if passed:
        losses = [json.loads((scene.run_dir(name) / "summary.json").read_text())["loss"] for name in ("alone", "group")]
        found["losses"] = losses
        passed = abs(losses[0] - losses[1]) <= 1e-6 * abs(losses[0])
    else:
        found["said"] = _said(alone.stderr + group.stderr)[-3:]
    return Verdict(passed=passed, expected="both end with 0 and the same loss, to 1e-6", found=found)


def out_of_memory(scene: Scene) -> Verdict:
    """A batch that does not fit: one sentence that says so and what would help, no traceback."""
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(scene.device)[0]
    taken = torch.empty(max(0, free - _LEFT_FREE), dtype=torch.uint8, device=scene.device)
    plan = {"conditions": 3, "bags": 4, "tiles": 4096}
    config = scene.config("triplet_mil", plan=plan, objective={"backbone": {"name": "resnet18"}}, train={"steps": 1})
    done = ended(scene.command(config, "full"))
    del taken
    torch.cuda.empty_cache()
    said = _said(done.stderr)
    passed = done.returncode == EXIT_MISTAKE and "memory" in said[-1] and "Traceback" not in done.stderr
    expected = f"exit code {EXIT_MISTAKE} and a sentence about memory"
    return Verdict(passed=passed, expected=expected, found={"exit_code": done.returncode, "said": said[-1:]})


def sigterm_in_a_step(scene: Scene) -> Verdict:
    """SIGTERM while it trains: a checkpoint, exit code 75, one sentence."""
    return _stopped(
        scene, "step", "triplet_mil", {"train": {"steps": 1_000_000, "log_every": 1, "save_every": 1_000_000}}
    )


def sigterm_in_validation(scene: Scene) -> Verdict:
    """SIGTERM while it validates, which is nearly all it does here; so few held-out wells hold no triplet."""
    sections = {
        "split": {"by": "Metadata_Perturbation", "fractions": [0.6, 0.4, 0.0], "seed": 0},
        "train": {"steps": 1_000_000, "evaluate_every": 1, "log_every": 1, "save_every": 1_000_000},
    }
    return _stopped(scene, "validation", "autoencoder", sections)


def _stopped(scene: Scene, name: str, objective: str, sections: dict[str, dict[str, Any]]) -> Verdict:
    process = subprocess.Popen(  # noqa: S603
        scene.command(scene.config(objective, **sections), f"stopped-{name}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(scene.run_dir(f"stopped-{name}") / "metrics.jsonl", process)
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    _, heard = process.communicate(timeout=_PATIENCE_S)
    seconds = round(time.perf_counter() - began, 2)
    said = [line for line in _said(heard) if "stopped by SIGTERM" in line]
    saved = sorted(path.name for path in (scene.run_dir(f"stopped-{name}") / "checkpoints").iterdir())
    found = {"exit_code": process.returncode, "said": said, "checkpoints": saved, "seconds_to_end": seconds}
    passed = process.returncode == EXIT_REQUEUE and len(said) == 1 and bool(saved) and "Traceback" not in heard
    expected = f"exit code {EXIT_REQUEUE}, one sentence and a checkpoint"
    return Verdict(passed=passed, expected=expected, found=found)


def _wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a run has logged two steps."""
    until = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < until and process.poll() is None:
        if file.exists() and file.read_text().count("\n") >= 2:
            return
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"it never trained: {(process.stderr.read() if process.stderr else '')[-500:]}")


def _said(text: str) -> list[str]:
    """The sentences of a command: its lines without those that say what is trained."""
    return [line for line in text.splitlines() if line.strip()]


CHECKS = (
    Check(name="more_processes_than_gpus", work=more_processes_than_gpus, cuda=True),
    Check(name="group_of_one", work=group_of_one),
    Check(name="out_of_memory", work=out_of_memory, cuda=True),
    Check(name="sigterm_in_a_step", work=sigterm_in_a_step),
    Check(name="sigterm_in_validation", work=sigterm_in_validation),
)
