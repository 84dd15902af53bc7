"""Options of a run on several machines, and how its command is written again for another of them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from framework.errors import RunError
from launch import later

_PANEL = "Several machines"
_NUMBER = "--node-rank"


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
        str, typer.Option(help="name of the run, where two might meet at one place", rich_help_panel=_PANEL)
    ] = "none"
    join_timeout: Annotated[
        float, typer.Option(help="seconds to wait for the other machines", rich_help_panel=_PANEL)
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
                f"--nodes {self.nodes}: each machine also needs its number and the place of machine 0, as: "
                f"--node-rank 0 --master HOST"
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
