"""Ranks on several machines must see one folder, train one config and read the same data; else all say who does not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from fixtures.ranks import run_ranks
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import TRIPLET, config

from framework.data.dataset import Dataset
from framework.distributed import Ranks
from framework.errors import RunError
from framework.run.train import agreement

pytestmark = pytest.mark.distributed


def said(check: object, *args: object) -> str:
    try:
        check(*args)  # type: ignore[operator]
    except RunError as error:
        # Marked so, it is said once, by all ranks together.
        return str(error) if error.__dict__.get("of_every_rank") else "of one rank"
    return ""


def what_ranks_say(ranks: Ranks, folder: str) -> list[str]:
    """Rank 1 is on another machine, called beta, whose disk and files are others."""
    agreement.WAIT_S = 0.2
    socket.gethostname = lambda: ("alpha", "beta")[ranks.rank]
    mine = Path(folder) / ("alpha", "beta")[ranks.rank]
    (mine / "run").mkdir(parents=True)
    data = make_dataset(mine / "data", bags=6 + ranks.rank)
    places = {"run": Path(folder), "data": Path(folder)}
    lr = config(TRIPLET, f"optim.lr={0.1 + ranks.rank}", f"data.path={mine}", **places)
    same = Dataset.open(Path(folder) / "shared")
    return [
        said(agreement.need_shared_folder, mine / "run", ranks),
        said(agreement.need_shared_folder, Path(folder), ranks),
        said(agreement.need_same_config, lr, ranks),
        said(agreement.need_same_config, config(TRIPLET, f"data.path={mine}", **places), ranks),
        said(agreement.need_same_data, data, ranks),
        said(agreement.need_same_data, same, ranks),
    ]


def test_what_machines_do_not_share_is_named_on_every_rank(tmp_path: Path) -> None:
    make_dataset(tmp_path / "shared", bags=6)
    first, second = run_ranks(what_ranks_say, 2, tmp_path / "meet", str(tmp_path))
    assert first[0] == (
        "run_dir: not the same folder on all machines: what alpha (rank 0) writes there is not seen by beta (rank 1); "
        "choose one on storage that all machines share (run_dir=FOLDER); only the dataset may be a copy on each"
    )
    assert first[2] == (
        "rank 1 (beta) trains another config than rank 0 (alpha): optim.lr is 1.1 there, 0.1 here; give all machines "
        "the same file and overrides"
    )
    assert first[4].startswith(f"data.path ({tmp_path}/alpha/data): another dataset for beta (rank 1) than for rank 0")
    assert second[:4] == first[:4]
    assert first[1] == first[3] == first[5] == "", "one folder; copies of the data may lie elsewhere; the same data"
    assert not list(tmp_path.glob("**/.shared-*"))
