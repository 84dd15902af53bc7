"""What the checks share: a small simulated plate, runs on it, and processes that train."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml

import wellstream as ws
from framework.data.dataset import Dataset
from framework.distributed import Ranks
from framework.distributed.devices import prepare_cuda
from framework.interpreter import python_on
from framework.run.train.build import Built
from framework.run.train.config import RunConfig
from framework.run.train.rehearsal import in_passing

CHANNELS = ["Hoechst", "MitoTracker", "Phalloidin"]
TILE_PX = 32
_BACKBONE = {"name": "small_cnn", "widths": [8, 16], "dense": [16]}
_PAINTERS = {"backbone": {"name": "alexnet", "widths": [4, 6, 8, 8, 6]}, "decoder_widths": [6, 8, 8, 6, 4]}
_BALANCED = {"name": "balanced_bags", "by": ["Metadata_Perturbation"], "conditions": 3, "bags": 2, "tiles": 4}
OBJECTIVES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "triplet_mil": (_BALANCED, {"backbone": _BACKBONE}),
    "omics_bags": (
        {"name": "bags", "bags": 4, "tiles": 4},
        {"backbone": _BACKBONE, "targets": ["transcripts_M1"], "pool": "gated_attention"},
    ),
    "autoencoder": ({"name": "tiles", "tiles": 16}, _PAINTERS),
    "paired_inpainting": (
        {"name": "pairs", "pairs": 16, "by": ["Metadata_Perturbation"]},
        {"structure": ["Hoechst"], "protein": ["MitoTracker"], **_PAINTERS},
    ),
}
"""Plan and options of each objective that is checked: one that mines, one with labels, two that paint."""


class Scene:
    """Where the checks happen.

    Args:
        folder: theirs; removed by the caller.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder, torch.device(device)

    @cached_property
    def dataset(self) -> Dataset:
        """A plate of 12 wells with cells, 3 channels, transcripts; tiles of ``TILE_PX``."""
        export, out = self.folder / "export", self.folder / "dataset"
        ws.simulate_plate(export, plate="CHECK", perturbations=3, sites=1, size_px=200, cells_per_site=10)
        source = {"name": "harmony", "path": str(export / "CHECK")}
        config = {
            "name": "check",
            "plates": [{"source": source, "platemap": {"path": str(export / "platemap.csv")}}],
            "channels": CHANNELS,
            "nuclei": {"channel": CHANNELS[0], "diameter_um": 14.4},
            "tiles": {"size_px": TILE_PX},
            "omics": [{"name": "transcripts", "table": str(export / "omics" / "transcripts.csv.gz"), "kind": "counts"}],
        }
        ws.ingest(config, out, workers=0)
        return Dataset.open(out)

    def config(self, objective: str, **sections: dict[str, Any]) -> RunConfig:
        """Return the config of a run; ``sections`` are added to those it has, as ``train={"steps": 5}``."""
        plan, options = OBJECTIVES[objective]
        plain: dict[str, dict[str, Any]] = {
            "data": {"path": str(self.dataset.root), "scale": "per_tile_standardise", "augment": {"flip": True}},
            "plan": plan,
            "objective": {"name": objective, **options},
            "optim": {"name": "adamw", "lr": 1e-3},
            "train": {"steps": 1000, "device": self.device.type, "threads": 1},
            "tracking": {"wandb": "disabled"},
        }
        for name, values in sections.items():
            plain[name] = {**plain.get(name, {}), **values}
        run_dir = str(self.folder / "runs" / objective)
        return RunConfig.from_plain({"run_dir": run_dir, **plain}).resolved()

    def ranks(self, precision: Any = "fp32", *, deterministic: bool = False) -> Ranks:
        """Return this process alone, with the flags of a run set on CUDA."""
        if self.device.type == "cuda":
            prepare_cuda(deterministic=deterministic)
        return Ranks.solo(str(self._place), precision)

    @contextmanager
    def training(self, config: RunConfig, *, deterministic: bool = False) -> Iterator[Built]:
        """Give what a training begins with; nothing is left of it."""
        ranks = self.ranks(config.train.precision, deterministic=deterministic)
        with in_passing(config, self.dataset, ranks) as (_, built):
            yield built

    def command(self, config: RunConfig, name: str, *options: str) -> list[str]:
        """Return ``wellstream train`` for a config; its run folder is ``name``."""
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**config.plain(), "run_dir": str(self.run_dir(name))}))
        return python_on("launch", ["train", str(file), *options])

    def run_dir(self, name: str) -> Path:
        """Return the folder of the run ``name``."""
        return self.folder / "runs" / name

    def wait(self) -> None:
        """Wait until the device has done what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def _place(self) -> torch.device:
        return torch.device("cuda", torch.cuda.current_device()) if self.device.type == "cuda" else self.device


def ended(command: list[str], *, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; one that takes longer is an error."""
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603
