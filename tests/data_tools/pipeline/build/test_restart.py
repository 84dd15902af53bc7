"""Killed at any point and started again, a build ends byte for byte as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_tools.pipeline import ingest
from framework.errors import DatasetError

ROOT = Path(__file__).resolve().parents[4]
Tree = Callable[[Path], dict[str, str]]

# Every durable step is an fsync (of a file, then of its folder) and a rename between them. Each child dies by SIGKILL
# right before its n-th such call; the next child goes on in the same folder and gets further. Steps of 5 pass through
# all three kinds of call.
KILLER = """
import json, os, signal, sys
from pathlib import Path
from data_tools.pipeline import ingest
from data_tools.pipeline.plates.config import IngestConfig

config, out = IngestConfig.from_plain(json.loads(sys.argv[1])), Path(sys.argv[2])


def attempt(calls):
    left = [calls]

    def dying(original):
        def step(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return step

    os.replace, os.fsync = dying(os.replace), dying(os.fsync)
    ingest(config, out, workers=0)
    os._exit(0)


kills = 0
for calls in range(1, 1000, 5):
    child = os.fork()
    if child == 0:
        attempt(calls)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    kills += 1
print(json.dumps([kills, os.waitstatus_to_exitcode(status)]))
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


TAR = {"bags_per_shard": 2, "chunk_tiles": 4}
ZARR = {**TAR, "layout": "zarr", "codec": {"id": "blosc", "cname": "zstd", "shuffle": "bitshuffle"}}


@pytest.fixture(scope="module", params=[TAR, ZARR], ids=["tar", "zarr"])
def experiment(request: pytest.FixtureRequest, two_plates: Any) -> Any:
    """The two plates, to be packed in either layout."""
    return replace(two_plates, plain={**two_plates.plain, "shards": request.param})


@pytest.fixture(scope="module")
def reference(experiment: Any, tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> dict[str, str]:
    out = tmp_path_factory.mktemp("reference") / "data"
    ingest(experiment.config(), out, workers=0)
    return tree(out)


def test_killed_at_every_kind_of_step(experiment: Any, tmp_path: Path, tree: Tree, reference: dict[str, str]) -> None:
    out = tmp_path / "data"
    command = [sys.executable, "-c", KILLER, json.dumps(experiment.plain), str(out)]
    result = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=120, check=True)
    kills, code = json.loads(result.stdout)
    assert code == 0, result.stderr
    assert kills > 5
    assert tree(out) == reference


def test_an_unfinished_build_of_another_config_is_refused(
    experiment: Any, tmp_path: Path, stop_before_tables: Callable[..., None]
) -> None:
    stop_before_tables(experiment.config(), tmp_path / "data")
    with pytest.raises(DatasetError, match=r"of another config; it differs in seed; .* start anew: rm -r .*data"):
        ingest(experiment.config(seed=3), tmp_path / "data", workers=0)


def test_the_omics_of_an_unfinished_build_may_be_corrected(
    experiment: Any, tmp_path: Path, tree: Tree, stop_before_tables: Callable[..., None]
) -> None:
    (tmp_path / "rna.csv").write_text(
        "sample,Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,G1,G2\n"
        "s1,R1,NT,M1,5,7\ns2,R1,gene1,M2,9,1\ns3,R1,gene0,M1,4,4\n"
    )
    right = {"omics": [{"name": "rna", "table": str(tmp_path / "rna.csv"), "kind": "counts"}]}
    out = tmp_path / "data"
    stop_before_tables(experiment.config(), out)  # the omics tables were forgotten
    summary = ingest(experiment.config(**right), out, workers=0)
    assert summary.shards_reused == 4
    assert summary.targets == ("rna_M1", "rna_M2")
    ingest(experiment.config(**right), tmp_path / "anew", workers=0)
    assert tree(out) == tree(tmp_path / "anew")


def test_a_lost_or_cut_shard_is_made_again(
    experiment: Any, tmp_path: Path, tree: Tree, reference: dict[str, str], stop_before_tables: Callable[..., None]
) -> None:
    out = tmp_path / "data"
    stop_before_tables(experiment.config(), out)
    shards = sorted(file for file in (out / "shards").rglob("*") if file.is_file() and file.suffix != ".json")
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:-1])
    (out / "shards" / "shard-000099.tar").write_bytes(b"of an earlier listing")
    (out / "shards" / "shard-000098.zarr" / "c").mkdir(parents=True)
    (out / "shards" / "shard-000098.zarr" / "c" / "0").write_bytes(b"of an earlier listing")
    summary = ingest(experiment.config(), out, workers=0)
    assert summary.shards_reused == 2
    assert tree(out) == reference
    assert not (out / "shards" / "shard-000098.zarr").exists()


def test_workers_change_no_byte_of_a_zarr_dataset(two_plates: Any, tmp_path: Path, tree: Tree) -> None:
    config = two_plates.config(shards=ZARR)
    for workers in (0, 1, 2):
        ingest(config, tmp_path / str(workers), workers=workers)
    assert tree(tmp_path / "1") == tree(tmp_path / "0") == tree(tmp_path / "2")


def test_leftovers_of_a_kill_after_the_manifest_are_removed(
    experiment: Any, tmp_path: Path, tree: Tree, reference: dict[str, str]
) -> None:
    out = tmp_path / "data"
    ingest(experiment.config(), out, workers=0)
    (out / ".build").mkdir()
    (out / ".build" / "plan.json").write_text("{}")
    assert ingest(experiment.config(), out, workers=0).state == "already_complete"
    assert tree(out) == reference
