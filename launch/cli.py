"""The command ``wellstream``: groups of commands in the order of the work, each of them a call of ``wellstream``."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from framework import __version__
from launch.command import ANYWHERE, Group
from launch.commands import groups
from launch.entry import main as main  # where installations made before look for it
from launch.show import log_lines
from launch.switches import ALLOW_CODE, DEBUG

app = typer.Typer(
    name="wellstream",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"wellstream {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and exit")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG.flag, help=DEBUG.help, rich_help_panel=ANYWHERE)] = False,
    allow_code: Annotated[bool, typer.Option(ALLOW_CODE.flag, help=ALLOW_CODE.help, rich_help_panel=ANYWHERE)] = False,
) -> None:
    """Cell images to trained models: simulate or ingest plates, train on tiles in bags, predict, evaluate, report."""
    log_lines(logging.WARNING)


for group in groups():
    group.register(app)
