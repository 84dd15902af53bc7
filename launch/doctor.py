"""``wellstream doctor``: what this installation can do and what is missing for what, in lines to paste somewhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from framework import __version__
from framework.data.remote.cache import CACHE_VARIABLE, CacheConfig, held_in
from framework.data.remote.folder import cache_root
from framework.durable import check_can_be_folder
from framework.format import byte_size
from launch.show import console

DISTRIBUTION = "wellstream"
FEATURES = {
    "configs and commands": ("pydantic", "PyYAML", "typer", "rich", "packaging"),
    "ingest": ("dask", "distributed", "numba", "opencv-python-headless", "scikit-image", "scipy", "defusedxml"),
    "TIFF files": ("tifffile", "imagecodecs"),
    "datasets": ("webdataset", "zarr", "numcodecs", "pyarrow", "numpy", "pandas", "blake3", "google-crc32c"),
    "datasets over HTTP": ("fsspec", "aiohttp"),
    "omics and AnnData": ("anndata", "h5py"),
    "training": ("torch", "accelerate", "safetensors"),
    "curves in wandb": ("wandb",),
    "evaluation": ("scikit-learn",),
    "reports": ("matplotlib", "Jinja2"),
}
"""What one can do -> packages it needs; all come with ``pip install wellstream``."""
OPTIONAL = {
    "UMAPs in reports": (("umap-learn",), "analysis"),
    "marker genes of IFC-seq": (("scanpy",), "analysis"),
    "FCS files": (("flowio",), "ifc"),
    "datasets and exports on s3://": (("s3fs",), "remote"),
}
"""What one can do -> packages it needs, and the extra that brings them."""
LEAST_FREE_GB = 5
LEAST_OPEN_FILES = 1024
LEAST_SHARED_GB = 1
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is looked at, nothing is written
FINE, FAULT, ABSENT = "ok    ", "FAULT ", "-     "


@dataclass(frozen=True)
class Check:
    """One line: whether it is fine, a fault, or an optional part that is absent."""

    mark: str
    text: str


def checks() -> Iterator[Check]:
    """Yield what was found, line by line."""
    yield Check(FINE, f"wellstream {__version__}, Python {platform.python_version()}, {platform.platform()}")
    wanted = _wanted()
    for feature, names in FEATURES.items():
        yield _packages(feature, names, wanted, None)
    for feature, (names, extra) in OPTIONAL.items():
        yield _packages(feature, names, wanted, extra)
    yield from _devices()
    yield from _machine()


def _wanted() -> dict[str, Requirement]:
    """Return what the installed package asks for, by name in small letters; nothing where it runs from a folder."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {requirement.name.lower(): requirement for requirement in map(Requirement, lines)}


def _packages(feature: str, names: tuple[str, ...], wanted: dict[str, Requirement], extra: str | None) -> Check:
    missing, old, there = [], [], []
    for name in names:
        version = _version(name)
        requirement = wanted.get(name.lower())
        if version is None:
            missing.append(name)
        elif requirement is not None and not requirement.specifier.contains(version, prereleases=True):
            old.append(f"{name} {version} is not {requirement.specifier}")
        else:
            there.append(f"{name} {version}")
    command = f"pip install -U 'wellstream[{extra}]'" if extra else "pip install -U wellstream"
    if not missing and not old:
        return Check(FINE, f"{feature}: {', '.join(there)}")
    wrong = [*([f"{', '.join(missing)} missing"] if missing else []), *old]
    optional = extra is not None and not old
    return Check(ABSENT if optional else FAULT, f"{feature}: {'; '.join(wrong)}: {command}")


def _devices() -> Iterator[Check]:
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield Check(FINE, f"cuda:{index} {facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else "; this PyTorch is built without CUDA"
        yield Check(FINE, f"no CUDA device: training runs on the CPU with gloo{built}")
    backends = [name for name, there in (("gloo", True), ("nccl", torch.cuda.is_available())) if there]
    yield Check(FINE, f"process groups: {', '.join(backends)}")


def _machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    yield Check(
        FINE, f"{cores} cores, {memory.total / 2**30:.1f} GiB memory, {memory.available / 2**30:.1f} GiB of it free"
    )
    yield _shared_memory()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = files != resource.RLIM_INFINITY and files < LEAST_OPEN_FILES
    advice = f": raise it with: ulimit -n {LEAST_OPEN_FILES}" if few else ""
    limit = "no limit" if files == resource.RLIM_INFINITY else str(files)
    yield Check(FAULT if few else FINE, f"open files per process: {limit}{advice}")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    full = free <= LEAST_FREE_GB
    yield Check(FAULT if full else FINE, f"{free:.0f} GiB free in this folder{': make room' if full else ''}")
    yield _cache()


def _shared_memory() -> Check:
    """Shared memory is what several GPUs of a machine talk through; a container has 64 MB unless it is told."""
    if not SHARED_MEMORY.is_dir():
        return Check(FINE, f"no {SHARED_MEMORY}")
    free = shutil.disk_usage(SHARED_MEMORY).free / 2**30
    small = free < LEAST_SHARED_GB and torch.cuda.device_count() > 1
    advice = ", too little for several GPUs: start the container with --shm-size 8g" if small else ""
    return Check(FAULT if small else FINE, f"{free:.1f} GiB of shared memory ({SHARED_MEMORY}){advice}")


def _cache() -> Check:
    config = CacheConfig()
    root = cache_root(config.place(), shared=config.shared)
    what = f"cache of remote datasets ({CACHE_VARIABLE}): {root}"
    try:
        check_can_be_folder(root)
    except OSError as error:
        return Check(FAULT, f"{what} cannot be written ({error.strerror}): {CACHE_VARIABLE}=FOLDER names another")
    files, size = held_in(config)
    return Check(FINE, f"{what}, {files} files, {byte_size(size)}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def doctor() -> int:
    """Print every check; return 1 when one is a fault, else 0."""
    found = list(checks())
    for check in found:
        console.print(check.mark + check.text)
    return int(any(check.mark == FAULT for check in found))
