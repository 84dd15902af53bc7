"""Several processes for one command: options of several machines, and commands that share their work among ranks."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import wellstream as ws
from framework.errors import RunError
from framework.progress import OnProgress, untold
from framework.result import Result
from launch import later, show
from launch.command import TYPED
from launch.options import Nproc
from launch.switches import debugging

_PANEL = "Several machines"
_NUMBER = "--node-rank"
_IS_RANK: ContextVar[bool] = ContextVar("_IS_RANK", default=False)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The machines of a run."""

    nodes: Annotated[int, typer.Option(min=1, help="machines; each runs the same command", rich_help_panel=_PANEL)] = 1
    node_rank: Annotated[
        int | None, typer.Option(min=0, help="number of this machine, from 0", rich_help_panel=_PANEL)
    ] = None
    master: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="name or address of machine 0, which listens there; default port 29500",
            rich_help_panel=_PANEL,
        ),
    ] = None
    rdzv_id: Annotated[
        str, typer.Option(help="name of the run; needed if two runs meet at the same address", rich_help_panel=_PANEL)
    ] = "none"
    join_timeout: Annotated[
        float, typer.Option(help="seconds to wait for other machines at the start", rich_help_panel=_PANEL)
    ] = 300.0
    node_timeout: Annotated[
        float, typer.Option(help="seconds a machine may be silent before the run ends", rich_help_panel=_PANEL)
    ] = 60.0

    def meeting(self) -> later.Meeting | None:
        """Return where the machines meet; None where there is one alone.

        Raises:
            RunError: an option is missing, or there for nothing.
        """
        if self.nodes == 1:
            if self.node_rank or self.master is not None:
                raise RunError("--node-rank and --master are for several machines: add --nodes N, or leave them out")
            return None
        if self.node_rank is None or self.master is None:
            raise RunError(
                f"--nodes {self.nodes}: each machine also needs its number and the address of machine 0, such "
                "as: --node-rank 0 --master HOST"
            )
        host, port = later.place_of_master(self.master)
        return later.Meeting(
            nodes=self.nodes,
            node=self.node_rank,
            host=host,
            port=port,
            run_id=self.rdzv_id,
            join_timeout_s=self.join_timeout,
            node_timeout_s=self.node_timeout,
            again=_again(),
        )


def _again() -> str:
    """Return the command line that was typed, with ``{node}`` in the place of the number of this machine."""
    words = [shlex.quote(word).replace("{", "{{").replace("}", "}}") for word in sys.argv[1:]]
    for index, word in enumerate(words):
        if word.startswith(f"{_NUMBER}="):
            words[index] = f"{_NUMBER}={{node}}"
        elif word == _NUMBER and index + 1 < len(words):
            words[index + 1] = "{node}"
    return " ".join(["wellstream", *words])


@dataclass(frozen=True, kw_only=True)
class Processes(Machines):
    """The processes that share the work of a command."""

    nproc: Nproc = 1

    @contextmanager
    def opened(self, run: Path, device: str | None) -> Iterator[tuple[ws.Run, OnProgress]]:
        """Open a run for one process, or as a rank; where ranks are asked for and this is none, start them instead.

        Yields:
            The run, and what is told how far it is.

        Raises:
            typer.Exit: the ranks have carried out the command, or failed.
        """
        if _IS_RANK.get():
            quiet = later.this_rank()
            with ws.joined(run, device=device) as shared, nullcontext(untold) if quiet else show.progress() as report:
                yield shared, report
            return
        meeting = self.meeting()
        if self.nproc > 1 or meeting is not None:
            start("launch.together", TYPED.get(), self.nproc, meeting)
        with show.progress() as report:
            yield ws.Run(run, device), report


@contextmanager
def as_rank() -> Iterator[None]:
    """Let commands inside be ranks that share their work, and not start any."""
    before = _IS_RANK.set(True)
    try:
        yield
    finally:
        _IS_RANK.reset(before)


def start(module: str, words: Sequence[str], nproc: int, meeting: later.Meeting | None) -> NoReturn:
    """Run ``python -m module words`` as ranks, say how they ended, and end so.

    Raises:
        typer.Exit: always.
    """
    ending = later.start_processes(module, words, nproc, meeting)
    show.ending(ending, debug=debugging())
    raise typer.Exit(ending.code)


def summary(written: Result) -> None:
    """Print what was written, once."""
    if not (_IS_RANK.get() and later.this_rank()):
        show.summary(written)
