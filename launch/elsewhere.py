"""Options ``--on`` and ``--cluster``: the same command as a job of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from framework.errors import ConfigError, did_you_mean

PLACES = ("slurm", "kubernetes")
_PANEL = "On a cluster"


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Where a command is carried out, when not here."""

    on: Annotated[
        str | None,
        typer.Option(
            help="slurm or kubernetes: write a job and submit it; with --dry-run: show it",
            autocompletion=lambda: list(PLACES),
            rich_help_panel=_PANEL,
        ),
    ] = None
    cluster: Annotated[
        Path | None,
        typer.Option(
            help="YAML with account, partition, image ...; see: wellstream config cluster", rich_help_panel=_PANEL
        ),
    ] = None

    def needed(self) -> bool:
        """Return whether the command is for a cluster.

        Raises:
            ConfigError: no such kind of cluster, or a config for nothing.
        """
        if self.on is None and self.cluster is not None:
            raise ConfigError("--cluster describes the cluster of a job; add --on slurm or --on kubernetes")
        if self.on is not None and self.on not in PLACES:
            raise ConfigError(
                f"--on: expected {' or '.join(PLACES)}, found '{self.on}'" + did_you_mean(self.on, PLACES)
            )
        return self.on is not None
