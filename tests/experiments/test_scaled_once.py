"""Every run below experiments/ that reads what an ingest there writes: intensities are scaled exactly once.

Where the ingest scales a channel, the run's own scaling has to leave it as it is. That is so for ``none``, and for
``per_tile_minmax`` without a floor after ``min_max``: the min-max of a crop from 0 to 1 is the same crop, bit for bit.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from data_tools.pipeline import CellsIngestConfig, load_ingest_config
from data_tools.pipeline.cells.fit import scale_tile
from framework.data.loading.transform import scale
from framework.data.scales import ScaleProfile
from framework.run import load_run_config

ROOT = Path(__file__).resolve().parents[2] / "experiments"
INGEST = re.compile(r"wellstream ingest experiments/(\S+) --out (\S+)")


def pairs() -> dict[str, tuple[Path, Path]]:
    """Return ``run`` -> (ingest, run), joined by the folder that a head says the ingest writes and the run reads."""
    files = sorted(ROOT.rglob("*.yaml"))
    written = {folder: ROOT / ingest for file in files for ingest, folder in INGEST.findall(file.read_text())}
    runs = [file for file in files if "objective" in yaml.safe_load(file.read_text())]
    read = {file: yaml.safe_load(file.read_text())["data"]["path"] for file in runs}
    return {str(run.relative_to(ROOT)): (written[path], run) for run, path in read.items() if path in written}


PAIRS = pairs()


def scaled_by_the_run(run: Path, channels: tuple[str, ...], tiles: torch.Tensor) -> torch.Tensor:
    data = load_run_config(run).data
    read = data.channels or channels
    chosen = tiles[:, [channels.index(name) for name in read]]
    floor = tuple(data.floor.get(name, 0.0) for name in read) if data.floor else ()
    assert data.scale.name in ("none", "per_tile_minmax"), "the ingest scaled these tiles; take them as they are"
    return scale(chosen, ScaleProfile(name=data.scale.name, channels=read, floor=floor)) - chosen


def test_the_pairs_are_found() -> None:
    found = {name.split("/")[-1] for name in PAIRS}
    kinds = ("yeast", "yeast_short", "yeast_autoencoder", "human", "hpa_paper", "hpa_code")
    assert {f"train_{kind}.yaml" for kind in kinds} <= found


@pytest.mark.parametrize("name", PAIRS)
def test_what_the_ingest_scaled_the_run_leaves_as_it_is(name: str) -> None:
    ingest, run = PAIRS[name]
    config = load_ingest_config(ingest)
    if not isinstance(config, CellsIngestConfig) or not config.intensity:
        return
    rng = np.random.default_rng(0)
    tiles = rng.gamma(2.0, 20.0, (6, len(config.channels), 16, 16)).clip(0, 255).astype(np.float32)
    # Pictures that are not divided lie in 0..1 already, as the authors' crops do.
    if not any(rule.divide_by for rule in config.intensity.values()):
        tiles /= 255
    before = tiles.copy()
    for tile in tiles:
        scale_tile(tile, config.channels, config.intensity)
    assert not np.array_equal(tiles, before)
    left = scaled_by_the_run(run, config.channels, torch.from_numpy(tiles))
    assert set(config.intensity) == set(config.channels), "a channel that the ingest leaves has to be scaled by the run"
    assert float(left.abs().max()) == 0.0


def test_a_floor_or_a_second_minmax_would_be_seen() -> None:
    crop = np.linspace(0.0, 0.9, 256, dtype=np.float32).reshape(1, 1, 16, 16)
    for floor, name in (((0.05,), "per_tile_minmax"), ((), "per_tile_minmax")):
        profile = ScaleProfile(name=name, channels=("a",), floor=floor)  # type: ignore[arg-type]
        assert not torch.equal(scale(torch.from_numpy(crop), profile), torch.from_numpy(crop))
