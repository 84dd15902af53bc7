"""The reference of the command line, made of the command objects."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from reference_configs import Pages, cell

from launch.cli import app


def page() -> Pages:
    """Return the page of all commands."""
    return {"reference/commands.md": ("Commands", _page())}


def commands() -> Iterator[tuple[str, str, Any]]:
    """Yield panel, words and object of each command, in the order of the help."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        panel = command.rich_help_panel
        if below is None:
            yield panel, name, command
        else:
            yield from ((panel, f"{name} {word}", inner) for word, inner in below.items())


def _page() -> str:
    text = (
        "# Commands\n\nMade from the commands themselves; `wellstream COMMAND --help` shows the same. What a command "
        "ends with: [Exit codes](exit_codes.md). `--debug` may stand anywhere in any command: it shows the traceback "
        "of an error. `--allow-code` may stand in commands that load plugins: it lets configs name files of code.\n\n"
    )
    panels: dict[str, list[tuple[str, Any]]] = {}
    for panel, name, command in commands():
        panels.setdefault(panel, []).append((name, command))
    for panel, inside in panels.items():
        text += f"## {panel}\n\n"
        for name, command in inside:
            text += _command(name, command)
    return text


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and "help" not in each.name]
    shown = [each for each in options if each.name not in ("debug", "allow_code")]
    usage = " ".join(["wellstream", name, *(_word(each) for each in arguments), "[OPTIONS]" * bool(shown)])
    text = f"### wellstream {name}\n\n```text\n{usage.strip()}\n```\n\n{_help(command.help or '')}\n\n"
    rows = [_row(f"`{_word(each)}`", each) for each in arguments]
    rows += [_row(" ".join(f"`{word}`" for word in (*each.opts, *each.secondary_opts)), each) for each in shown]
    if rows:
        text += "| word | meaning | without it |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
    return text


def _word(argument: Any) -> str:
    """Return how the help writes an argument."""
    word = argument.metavar or argument.name.upper()
    word = f"{word}..." if argument.nargs != 1 else word
    return word if argument.required else f"[{word}]"


def _help(text: str) -> str:
    lines = inspect.cleandoc(text).replace("``", "`").splitlines()
    kept = [f"\n    {line}\n" if line.startswith(("Example:", "Python:")) else line for line in lines]
    return "\n".join(kept)


def _row(name: str, parameter: Any) -> str:
    default = parameter.default
    said = parameter.help or ""
    nothing = default is None or default is False or callable(default) or default in ((), [])
    third = "required" if parameter.required else "" if nothing else f"default: `{default}`"
    return f"| {cell(name)} | {cell(said)} | {third} |"
