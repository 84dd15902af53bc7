"""``fit_heads``: one call from the YAML of several heads to a run folder per model."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from framework.data.torch_threads import compute_alone
from framework.distributed import Ranks
from framework.durable import is_temporary
from framework.errors import RunError
from framework.files.csv_writing import write_csv
from framework.files.json_file import read_mapping
from framework.progress import OnProgress
from framework.result import Result
from framework.run.heads.config import HeadsConfig, OneHead, each_head
from framework.run.heads.prepare import Prepared, Sources
from framework.run.heads.training import Side, Trained, Training
from framework.run.heads.writing import RunWriter
from framework.run.train.folder import RunFolder
from framework.run.train.identity import need_same_run

log = logging.getLogger(__name__)

TABLE = "heads.csv"
_FEW = 1 << 25
"""Multiplications of a step: one core does so many in about a millisecond."""


@dataclass(frozen=True, kw_only=True, repr=False)
class HeadsSummary(Result):
    """Heads that were trained.

    Attributes:
        folder: holds one run folder per model, and ``heads.csv``, which lists them.
        models: how many there are.
        already: of these, how many were there already.
        seconds: what training and writing the others took.
        runs: their folders, target by target.
    """

    folder: Path
    models: int
    already: int
    seconds: float
    runs: tuple[Path, ...]


def fit_heads(config: HeadsConfig, progress: OnProgress | None = None) -> HeadsSummary:
    """Train a model per target and split from cached embeddings, all at once.

    Each ends in a run folder as ``wellstream train`` would leave it, with the same weights but for rounding. A model
    whose folder is there already is left as it is, so the same call goes on where an earlier one was ended.

    Args:
        config: what to train.
        progress: called with (stage, done, total).

    Raises:
        WellstreamError: what is wrong, in a sentence.
    """
    settings = config.resolved()
    root, models = Path(settings.run_dir), each_head(settings)
    began = time.perf_counter()
    with ExitStack() as held:
        held.enter_context(RunFolder(root=root).sole_writer())
        for leftover in root.iterdir():
            if any(is_temporary(leftover.name, one.name) for one in models):
                shutil.rmtree(leftover, ignore_errors=True)
        sources = Sources(settings)
        wanted = [one for one in models if not _is_done(one, sources)]
        train = settings.train
        ranks = Ranks.open(train.device, train.precision, deterministic=train.deterministic)
        try:
            with torch.random.fork_rng(devices=[ranks.device] if ranks.device.type == "cuda" else []):
                _train(sources, wanted, settings, ranks, progress)
        finally:
            ranks.close()
        _write_table(root, models)
    return HeadsSummary(
        folder=root,
        models=len(models),
        already=len(models) - len(wanted),
        seconds=round(time.perf_counter() - began, 3),
        runs=tuple(Path(one.config.run_dir) for one in models),
    )


def _train(
    sources: Sources, wanted: Sequence[OneHead], config: HeadsConfig, ranks: Ranks, progress: OnProgress | None
) -> None:
    began, writer, written = time.perf_counter(), RunWriter(ranks), 0
    if ranks.world_size > 1:
        raise RunError("heads are trained by one process; start it without torchrun")
    dropout = getattr(config.objective, "dropout", 0.0)
    with ThreadPoolExecutor(1, "heads-ahead", initializer=compute_alone) as ahead:
        for group in _groups(sources, wanted, config):
            prepared = Prepared.of(group, sources, ranks.device, ahead)

            def done(model: Trained, prepared: Prepared = prepared) -> None:
                nonlocal written
                writer.write(prepared.known[model.name], model, time.perf_counter() - began)
                written += 1
                if progress:
                    progress("models", written, len(wanted))

            with _threads_for(prepared.sides):
                Training(prepared.sides, config.train, config.optim, dropout, ranks.device, done).run(progress)


@contextmanager
def _threads_for(sides: Sequence[Side]) -> Iterator[None]:
    """Let torch use one thread for each operation where a step has few: sharing them out takes longer than they do.

    The other cores make the next steps meanwhile.
    """
    before = torch.get_num_threads()
    if sum(side.stack.multiplications for side in sides) < _FEW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _groups(sources: Sources, wanted: Sequence[OneHead], config: HeadsConfig) -> Iterator[list[OneHead]]:
    """Yield the models in groups that fit into ``heads.memory_gb``; a model that does not is alone."""
    group: list[OneHead] = []
    held = 0
    # Weight and two moments; with patience, those of the best step too.
    copies = 6 if config.train.patience is not None else 3
    for one in wanted:
        needs = 4 * copies * sources.numbers(one)
        if group and held + needs > config.heads.memory_gb * 1e9:
            yield group
            group, held = [], 0
        group.append(one)
        held += needs
    if group:
        yield group


def _is_done(one: OneHead, sources: Sources) -> bool:
    """Whether the folder of a model holds it, finished.

    Raises:
        RunError: it holds something else, or a model of another config.
    """
    folder = RunFolder(root=Path(one.config.run_dir))
    if not folder.root.exists():
        return False
    instead = "choose another run_dir, or remove that folder"
    if not (folder.config_file.is_file() and folder.is_begun and folder.summary_file.is_file()):
        raise RunError(f"{folder.root}: holds something that is not a finished run of heads; {instead}")
    status = read_mapping(folder.summary_file, error=RunError).get("status")
    if status != "finished":
        raise RunError(
            f"{folder.root}: holds a run that wellstream train began; finish it with wellstream train, or {instead}"
        )
    need_same_run(folder, one.config)
    stored, asked = folder.config().train, one.config.train
    for key in ("steps", "evaluate_every", "patience"):
        if getattr(stored, key) != getattr(asked, key):
            raise RunError(
                f"{folder.root}: was trained with train.{key} {getattr(stored, key)}, but now "
                f"{getattr(asked, key)} is set; heads cannot continue with other settings: {instead}"
            )
    sources.need_made_from(folder, one)
    return True


def _write_table(root: Path, models: Sequence[OneHead]) -> None:
    """Write ``heads.csv``: name, target, split, steps and best validation loss of each model."""
    rows = []
    for one in models:
        summary = read_mapping(RunFolder(root=Path(one.config.run_dir)).summary_file, error=RunError)
        facts = {key: summary.get(key) for key in ("steps", "ended_by", "best_step", "best_val_loss", "loss")}
        rows.append({"run": one.name, "target": one.target, "split_seed": one.seed, **facts})
    write_csv(root / TABLE, pd.DataFrame(rows))
