"""One, two and three ranks under torchrun: same batches, same weights.

Where they differ, and why: with ``batch_norm: local`` each rank normalises by its own rows, so the world size is part
of the model. With ``sync`` the weights agree (rows that do not divide: ``distributed/test_batch_norm.py``). And a
parameter whose true gradient is zero, as the last bias under a triplet loss (distances do not see a shift), has only
rounding noise for a gradient, which Adam scales up to full steps; plain SGD leaves it where it is. Rounding also
decides on which side of a kink an absolute error of almost zero lies, so the marker case minimises squares.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from fixtures.tiny_run import (
    AUTOENCODER,
    MARKERS,
    PAIRS,
    ROOT,
    TRIPLET,
    config,
    difference,
    digests,
    start,
    tiny_data,
    weights,
)

from framework.config import to_yaml
from framework.run import fit, verify_run

pytestmark = pytest.mark.distributed

SGD = ("optim.name=sgd", "optim.lr=0.1", "optim.clip_norm=null")
# Of pixels that are exactly 0 a convolution makes its bias, which starts at 0: all of them at the kink of the ReLU.
NO_ZEROS = ("data.scale=per_tile_standardise", "data.floor={}")
CASES = {
    "triplet-group": (TRIPLET, (*SGD, "objective.backbone.dropout=0")),
    "triplet-batch-sync": (
        TRIPLET,
        (*SGD, "objective.backbone={name: small_cnn, widths: [4, 8]}", "train.batch_norm=sync"),
    ),
    "triplet-adamw": (TRIPLET, ("objective.backbone.dropout=0", "objective.l2_normalise=true")),
    # 7 rows: the last rank of two and of three gets a padding row in every step, and the end of the epoch more.
    "markers-uneven": (MARKERS, ("plan.tiles=7", "objective.loss=mse")),
    # At a rate of 0.1 a pixel crosses the kink of a ReLU by rounding alone between step 12 and 20.
    "pairs-sync": (PAIRS, (*SGD, *NO_ZEROS, "optim.lr=0.03", "plan.pairs=6", "train.batch_norm=sync")),
    "autoencoder-sync": (
        PAIRS,
        (*SGD, *NO_ZEROS, "plan={name: tiles, tiles: 6}", AUTOENCODER, "train.batch_norm=sync"),
    ),
}
STEPS = 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/<case>-<world> for worlds 0 (no torchrun), 1, 2, 3."""
    root = tmp_path_factory.mktemp("worlds")
    tiny_data(root / "data")
    torch.set_num_threads(1)
    for world in range(4):
        files = []
        for case, (template, overrides) in CASES.items():
            changes = (*overrides, f"train.steps={STEPS}", f"train.save_every={STEPS}")
            settings = config(template, *changes, run=root / f"{case}-{world}", data=root / "data")
            if world == 0:
                fit(settings)
            else:
                files.append(root / f"{case}-{world}.yaml")
                files[-1].write_text(to_yaml(settings))
        if files:
            torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
            done = start([sys.executable, *torchrun, str(ROOT / "tests/fixtures/several_runs.py"), *map(str, files)])
            assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_ranks_sees_the_same_batches_and_ends_with_the_same_weights(
    runs: Path, case: str, world: int
) -> None:
    alone, together = runs / f"{case}-0", runs / f"{case}-{world}"
    assert len(digests(alone)) == STEPS
    assert digests(together) == digests(alone)
    assert difference(weights(together, STEPS), weights(alone, STEPS)) <= 1e-5
    assert f"on {world} rank(s)" in verify_run(together).sentences[0]


def test_training_moved_the_weights(runs: Path) -> None:
    for case, (template, overrides) in CASES.items():
        short = config(template, *overrides, "train.steps=3", run=runs / f"{case}-short", data=runs / "data")
        # A cosine that ends elsewhere would be another run; only the distance matters here.
        fit(short)
        assert difference(weights(runs / f"{case}-0", STEPS), weights(runs / f"{case}-short", 3)) > 1e-3
