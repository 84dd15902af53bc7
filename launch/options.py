"""Options of commands: types that several share, and frozen dataclasses of options as parameters of a command."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=")
PARTS = ["train", "val", "test", "all"]

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="key=value", help="set a key of the config, nested keys with dots: section.key=value"),
]
ConfigOption = Annotated[Path | None, typer.Option(help="YAML with simulator options; default: the built-in ones")]
Nproc = Annotated[int, typer.Option(min=1, help="processes on this machine, one per GPU")]
RunFolder = Annotated[Path, typer.Argument(help="run folder")]
DatasetOfRun = Annotated[
    str | None, typer.Option("--data", help="dataset folder or URL; default: the one the run trained on")
]
Part = Annotated[
    str, typer.Option(help="train, val, test or all", autocompletion=lambda: ["train", "val", "test", "all"])
]
Device = Annotated[
    str | None,
    typer.Option(
        help="auto, cpu or cuda; default: the device of the run's config, or the CPU if there is no such device",
        autocompletion=lambda: ["auto", "cpu", "cuda"],
    ),
]
Views = Annotated[
    str,
    typer.Option(help="average over views of a tile: 4 (mirror images), 8 (all symmetries) or image2omics (its four)"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="address of a Dask scheduler, or its scheduler file; default: workers on this machine"),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="plugin to load: an entry point, or a file with --allow-code; repeat for more"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineOptions:
    """The baselines that a model is compared with."""

    baselines: Annotated[
        str,
        typer.Option(
            help="baselines to compare with: all, or names such as count,intensity. They are scored on the same "
            "rows by the same test; baselines.KEY=VALUE sets their options",
        ),
    ] = ""
    run: Annotated[
        Path | None,
        typer.Option("--run", help="run that made the files, for --baselines; default: the run that they name"),
    ] = None


def flat(command: Callable[..., None], switches: Mapping[str, Any]) -> Callable[..., None]:
    """Return a command whose parameters are single options.

    Where a parameter is annotated with a frozen dataclass, each field of the dataclass becomes an option. The field is
    annotated like a parameter of a command, and the command gets one object.

    Args:
        command: the function.
        switches: name -> annotation of options that the command does not get, because other code handles them.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, type[Any]] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, type) and dataclasses.is_dataclass(parameter.annotation)
    }
    shown: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        fields = _fields(groups[name]) if name in groups else [parameter]
        shown += [field.replace(kind=inspect.Parameter.KEYWORD_ONLY) for field in fields]
    shown += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in switches.items()
    ]

    @functools.wraps(command)
    def told(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
        command(**{name: value for name, value in values.items() if name not in switches})

    del told.__wrapped__
    told.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    told.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return told


def given(options: Any) -> dict[str, Any]:
    """Return the options that were typed. One that is None was not typed: it keeps the default of the config."""
    return {
        field.name: value
        for field in dataclasses.fields(options)
        if (value := getattr(options, field.name)) is not None
    }


def is_override(word: str) -> bool:
    """Whether a word sets a key, as ``key=value``."""
    return _OVERRIDE.match(word) is not None


def listed(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _fields(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
