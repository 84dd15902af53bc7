"""What computes here: versions, devices, the flags a run sets, and the tests that need a GPU."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import torch

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import Scene, ended
from framework.distributed.devices import prepare_cuda

_ROOT = Path(__file__).resolve().parents[2]
_LEAST_CAPABILITY = (7, 0)
"""Volta: the first with tensor cores."""
_TESTS_S = 240


def versions(scene: Scene) -> Verdict:
    """Versions of everything that computes."""
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    if scene.device.type != "cuda":
        return Verdict(passed=True, expected="versions", found=found)
    properties = torch.cuda.get_device_properties(scene.device)
    capability = (properties.major, properties.minor)
    found |= {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if torch.distributed.is_nccl_available() else None,
        "gpus": torch.cuda.device_count(),
        "gpu": properties.name,
        "memory_gb": round(properties.total_memory / 1e9, 1),
        "capability": ".".join(map(str, capability)),
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
    }
    passed = capability >= _LEAST_CAPABILITY and found["nccl"] is not None
    return Verdict(passed=passed, expected="capability of 7.0 or more, and NCCL", found=found)


def flags(scene: Scene) -> Verdict:
    """What ``train.deterministic`` turns off and on, as CUDA has it afterwards."""
    states = {}
    for deterministic in (True, False):
        prepare_cuda(deterministic=deterministic)
        states["deterministic" if deterministic else "fast"] = {
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        }
    wanted = {"cudnn_benchmark": False, "cudnn_deterministic": True, "deterministic_algorithms": True}
    passed = states["deterministic"] == wanted and states["fast"] == {key: not value for key, value in wanted.items()}
    return Verdict(passed=passed, expected=f"deterministic {wanted}, fast the opposite", found=states)


def gpu_tests(scene: Scene) -> Verdict:
    """The tests marked ``gpu``."""
    done = ended([sys.executable, "-m", "pytest", "-m", "gpu", str(_ROOT / "tests")], timeout_s=_TESTS_S)
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr[-300:]]
    return Verdict(passed=done.returncode == 0, expected="every test passes", found={"pytest": last[0]})


CHECKS = (
    Check(name="versions", work=versions),
    Check(name="flags", work=flags),
    Check(name="gpu_tests", work=gpu_tests, cuda=True),
)
