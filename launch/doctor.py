"""``wellstream doctor``: what this installation can do, in lines a person can paste into a question."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from framework import __version__
from framework.data.remote.cache import CACHE_VARIABLE, CacheConfig, held_in
from framework.data.remote.folder import cache_root
from launch.show import console

REQUIRED = ("torch", "accelerate", "webdataset", "zarr", "numcodecs", "dask", "anndata", "wandb", "pydantic", "numpy")
OPTIONAL = {
    "umap-learn": "pip install 'wellstream[analysis]'",
    "s3fs": "pip install 'wellstream[remote]'",
    "tensorstore": "pip install 'wellstream[peers]'",
}
LEAST_FREE_GB = 5


def checks() -> Iterator[tuple[bool, str]]:
    """Yield (is fine, sentence) for each thing looked at."""
    yield True, f"wellstream {__version__}, Python {platform.python_version()}, {platform.platform()}"
    for name in REQUIRED:
        version = _version(name)
        yield version is not None, f"{name} {version}" if version else f"{name} is missing: pip install wellstream"
    for name, command in OPTIONAL.items():
        yield True, f"{name} {_version(name) or f'not installed (optional): {command}'}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield True, f"{cores} cores, {psutil.virtual_memory().total / 2**30:.1f} GiB memory"
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield True, f"cuda:{index} {facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    if not torch.cuda.is_available():
        yield True, "no CUDA device: training runs on the CPU with gloo"
    backends = [name for name, there in (("gloo", True), ("nccl", torch.cuda.is_available())) if there]
    yield True, f"process groups: {', '.join(backends)}"
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield free > LEAST_FREE_GB, f"{free:.0f} GiB free in this folder" + ("" if free > LEAST_FREE_GB else ": make room")
    yield True, _cache()


def _cache() -> str:
    config = CacheConfig()
    files, size = held_in(config)
    root = cache_root(config.place(), shared=config.shared)
    return f"cache of remote datasets ({CACHE_VARIABLE}): {root}, {files} files, {size / 1e9:.3g} GB"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def doctor() -> int:
    """Print every check; return 1 when one failed, else 0."""
    results = list(checks())
    for fine, sentence in results:
        console.print(("ok    " if fine else "FAULT ") + sentence)
    return 0 if all(fine for fine, _ in results) else 1
