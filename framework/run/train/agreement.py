"""What all ranks of a run must have in common, on whichever machines they are: folder, config and data."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.data.dataset import Dataset
from framework.data.store import dataset_digest
from framework.distributed import Ranks, share
from framework.errors import RunError
from framework.run.train.config import RunConfig
from framework.run.train.identity import identity

WAIT_S = 5.0
"""A network file system may show a new file of another machine later."""
_POLL_S = 0.1


@dataclass(frozen=True)
class _Answer:
    """What a rank has: ``value`` on machine ``host``."""

    host: str
    value: str


def need_shared_folder(root: Path, ranks: Ranks) -> None:
    """Check that all ranks see the run folder that rank 0 writes, by a file that it makes there; a collective.

    Args:
        root: the run folder, which rank 0 has made.
        ranks: the processes.

    Raises:
        RunError: on every rank, where one sees another folder.
    """
    token = ranks.on_main(lambda: _made(root))
    try:
        answers = _gathered("" if _is_seen(root / token) else "not seen", ranks)
    finally:
        if ranks.is_main:
            (root / token).unlink(missing_ok=True)
    lacking = _named(answers, [answer.value != "" for answer in answers])
    if lacking:
        _refuse(
            f"run_dir: not the same folder on all machines: what {answers[0].host} (rank 0) writes there is not seen "
            f"by {lacking}; choose one on storage that all machines share (run_dir=FOLDER); only the dataset may be a "
            "copy on each"
        )


def need_same_config(config: RunConfig, ranks: Ranks) -> None:
    """Check that all ranks train the same run; a collective. Raises RunError on every rank where one does not."""
    answers = _gathered(json.dumps(identity(config), sort_keys=True, default=str), ranks)
    first = json.loads(answers[0].value)
    for rank, answer in enumerate(answers):
        found = json.loads(answer.value)
        keys = sorted(key for key in first.keys() | found.keys() if first.get(key) != found.get(key))
        if keys:
            _refuse(
                f"rank {rank} ({answer.host}) trains another config than rank 0 ({answers[0].host}): {keys[0]} is "
                f"{found.get(keys[0])} there, {first.get(keys[0])} here; give all machines the same file and overrides"
            )


def need_same_data(dataset: Dataset, ranks: Ranks) -> None:
    """Check that all ranks opened the same dataset; a collective. Raises RunError on every rank where one did not."""
    answers = _gathered(dataset_digest(dataset), ranks)
    lacking = _named(answers, [answer.value != answers[0].value for answer in answers])
    if lacking:
        _refuse(
            f"data.path ({dataset.where}): another dataset for {lacking} than for rank 0 ({answers[0].host}); copy the "
            "same dataset to all machines, or name one that all of them see"
        )


def need_same_weights(run: Path, weights: str, ranks: Ranks) -> None:
    """Check that all ranks opened the same weights of a run; a collective.

    Args:
        run: the run folder.
        weights: SHA-256 of those of this rank.
        ranks: the processes.

    Raises:
        RunError: on every rank where one opened others.
    """
    answers = _gathered(weights, ranks)
    lacking = _named(answers, [answer.value != answers[0].value for answer in answers])
    if lacking:
        _refuse(
            f"{run}: other weights for {lacking} than for rank 0 ({answers[0].host}); copy the same run to all "
            "machines, or name one that all of them see"
        )


def _made(root: Path) -> str:
    token = f".shared-{secrets.token_hex(8)}"
    (root / token).touch(exist_ok=False)
    return token


def _is_seen(file: Path) -> bool:
    until = time.monotonic() + WAIT_S
    while not file.exists():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True


def _gathered(value: str, ranks: Ranks) -> list[_Answer]:
    return [_Answer(*answer) for answer in ranks.gather_objects((socket.gethostname(), value))]


def _named(answers: Sequence[_Answer], wanted: Sequence[bool]) -> str:
    """Return the chosen ranks by machine: ``hostb (ranks 2, 3)``; empty where there is none."""
    by_host: dict[str, list[str]] = {}
    for rank, (answer, chosen) in enumerate(zip(answers, wanted, strict=True)):
        if chosen:
            by_host.setdefault(answer.host, []).append(str(rank))
    return ", ".join(
        f"{host} (rank{'s' if len(ranks) > 1 else ''} {', '.join(ranks)})" for host, ranks in by_host.items()
    )


def _refuse(sentence: str) -> None:
    error = RunError(sentence)
    share(error)
    raise error
