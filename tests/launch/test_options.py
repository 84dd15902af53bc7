"""Frozen dataclasses as parameters of commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from launch.command import add
from launch.options import given, listed


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Two options."""

    colour: Annotated[str, typer.Option(help="of the wall")]
    coats: Annotated[int | None, typer.Option(min=1, help="how many")] = None


@pytest.fixture
def told() -> tuple[typer.Typer, list[object]]:
    app, heard = typer.Typer(), []

    def paint(wall: Annotated[str, typer.Argument()], paint: Paint, dry: bool = False) -> None:
        """Paint a wall."""
        heard.append((wall, paint, dry))

    def rest(minutes: int = 5) -> None:
        """Rest."""

    add(app, paint, instead={"--color": "it is spelt --colour here"})
    add(app, rest, runs_code=True)
    return app, heard


def test_fields_are_options_and_the_command_gets_one_object(told: tuple[typer.Typer, list[object]]) -> None:
    app, heard = told
    for words in (["north", "--colour", "red"], ["south", "--colour", "blue", "--coats", "2", "--dry"]):
        assert CliRunner().invoke(app, ["paint", *words]).exit_code == 0
    assert heard == [("north", Paint(colour="red"), False), ("south", Paint(colour="blue", coats=2), True)]
    assert given(Paint(colour="red")) == {"colour": "red"}
    assert listed("a, b,,c ") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paint", "north"], "Missing option '--colour'"),
        (["paint", "north", "--colour", "red", "--coats", "0"], "--coats"),
        (
            ["paint", "north", "--coulour", "red"],
            "--coulour; did you mean '--colour'? This command has",
        ),
        (["paint", "north", "--color", "red"], "No such option: --color; it is spelt --colour here"),
    ],
)
def test_a_mistake_is_answered_with_what_there_is(
    told: tuple[typer.Typer, list[object]], words: list[str], said: str
) -> None:
    result = CliRunner().invoke(told[0], words, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.output


def test_help_names_the_switches_that_apply(told: tuple[typer.Typer, list[object]]) -> None:
    shown = {name: CliRunner().invoke(told[0], [name, "--help"]).output for name in ("paint", "rest")}
    assert ["--debug" in text for text in shown.values()] == [True, True]
    assert ["--allow-code" in text for text in shown.values()] == [False, True]
