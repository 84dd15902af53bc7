"""What every sub-command shares: its place in the help, the switches of all commands, answers to typing errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from framework.errors import did_you_mean
from launch.options import flat
from launch.switches import ALLOW_CODE, DEBUG, Switch

ANYWHERE = "Anywhere on the command line"
_SOURCE_WIDTH = 116
"""Characters of a line of a docstring in a function: those of a source line less its indentation."""
TYPED: ContextVar[tuple[str, ...]] = ContextVar("TYPED", default=())
"""The command that runs: its name and its words."""


class Command(TyperCommand):
    """A sub-command that answers an unknown option with the list of its options.

    Attributes:
        instead: option that people look for -> what to type instead.
    """

    instead: ClassVar[Mapping[str, str]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual, but answer an unknown option with the list of options."""
        TYPED.set((str(ctx.info_name), *args))
        try:
            parsed: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            unknown = getattr(error, "option_name", None)
            if type(error).__name__ == "NoSuchOption" and isinstance(unknown, str):
                error.message = self._answer(unknown)  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise
        return parsed

    def _answer(self, unknown: str) -> str:
        text = f"No such option: {unknown}"
        if unknown in self.instead:
            return f"{text}; {self.instead[unknown]}"
        options = [word for parameter in self.params for word in parameter.opts if word.startswith("--")]
        text += did_you_mean(unknown, options) or "."
        if any(parameter.name == "options" for parameter in self.params):
            text += " Write keys of the config without dashes, as key=value."
        return f"{text} This command has {', '.join(options)}."


class Group(TyperGroup):
    """Commands in the order of the work, groups of commands before single ones."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        names: list[str] = super().list_commands(ctx)
        return sorted(names, key=lambda name: not isinstance(self.commands[name], TyperGroup))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command as usual. An unknown name that is close to no command is answered with the list of all."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            said = str(getattr(error, "message", ""))
            if said.startswith("No such command") and "Did you mean" not in said:
                error.message = f"{said} There are {', '.join(self.list_commands(ctx))}."  # type: ignore[attr-defined]
            raise


def add(
    app: typer.Typer,
    function: Callable[..., None],
    *,
    name: str | None = None,
    panel: str | None = None,
    runs_code: bool = False,
    instead: Mapping[str, str] | None = None,
    extra_words: bool = False,
) -> None:
    """Make a function a command.

    Args:
        app: the group that gets it.
        function: its parameters are the command's; its docstring is the help.
        name: default: that of the function.
        panel: heading under which the help shows it.
        runs_code: it loads plugins, so ``--allow-code`` applies.
        instead: option that people look for -> what to type instead.
        extra_words: hand on words that it does not know.
    """
    switches = (DEBUG, ALLOW_CODE) if runs_code else (DEBUG,)
    shown = flat(function, {switch.name: _annotation(switch) for switch in switches})
    settings = {"allow_extra_args": True, "ignore_unknown_options": True} if extra_words else None
    kind = type("Command", (Command,), {"instead": dict(instead or {})})
    told = unwrapped(inspect.getdoc(function) or "")
    app.command(name, cls=kind, help=told, rich_help_panel=panel, context_settings=settings)(shown)


def unwrapped(text: str) -> str:
    """Return text without the line breaks that only its width made; a terminal breaks lines where it ends.

    A break is one of width where the next word would not have fitted.
    """
    lines: list[str] = []
    last = 0
    for line in text.splitlines():
        first = line.split(" ")[0]
        if first and last + 1 + len(first) > _SOURCE_WIDTH:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        last = len(line)
    return "\n".join(lines)


def _annotation(switch: Switch) -> Any:
    """Return a switch, which ``launch.switches`` takes out of every command line, as the help shows it."""
    return Annotated[bool, typer.Option(switch.flag, help=switch.help, rich_help_panel=ANYWHERE)]
