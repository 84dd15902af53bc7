"""What pages tell people to type exists: commands, their options, keys of configs, files of YAML."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from pydantic import BaseModel

from framework.config.describe import keys_of
from framework.config.source import parse_yaml
from launch.cli import app
from wellstream.configs import KINDS, choices

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").rglob("*.md"), ROOT / "README.md"])
PAGES = [page for page in PAGES if page.name != "mistakes.md"]  # what it types is wrong on purpose, and a test makes it
FILES = (
    "yaml",
    "yml",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "h5ad",
    "html",
    "md",
    "toml",
    "cfg",
    "py",
    "txt",
    "parquet",
    "png",
)
COMMAND = typer.main.get_command(app)
OTHER_FORMS = {"planes"}
"""Keys that are another form of one that a model has."""
_SHELL = {"|", "||", "&&", ";", ">", ">>", "<", "&", "2>&1"}


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words after ``wellstream`` of each command of a page, of its blocks and of its sentences."""
    text = page.read_text()
    blocks = re.findall(r"```(?:console|bash|sh)\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(wellstream [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in lines:
        # What is in brackets may be left out, and of what stands about a bar one is typed.
        plain = line.replace("\\|", "|").replace("[", " ").replace("]", " ").replace("'", '"')
        try:
            words = shlex.split(plain, comments=True)
        except ValueError:
            words = plain.split()
        if "wellstream" in words:
            words = words[words.index("wellstream") + 1 :]
            end = next((place for place, word in enumerate(words) if word in _SHELL), len(words))
            yield words[:end]


def wrong_in(words: list[str]) -> str:
    """What of a command does not exist; empty where all does."""
    command: Any = COMMAND
    rest = list(words)
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        while rest and rest[0].startswith("-"):
            if rest.pop(0).partition("=")[0] not in {*known, "--help"}:
                return f"no option of wellstream: {words}"
        if not rest or not re.fullmatch(r"[a-z][a-z-]*", rest[0]):
            return ""
        if rest[0] not in command.commands:
            return f"no command '{rest[0]}'"
        command = command.commands[rest.pop(0)]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    for word in rest:
        name = word.partition("=")[0].rstrip(",.;:)")
        if re.fullmatch(r"--[a-z][a-z-]*|-[a-zA-Z]", name) and name not in known:
            return f"'{command.name}' has no option {name}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_of_a_page_exist(page: Path) -> None:
    assert not [wrong for words in commands_of(page) if (wrong := wrong_in(words))]


def test_the_readme_lists_every_command() -> None:
    listed = {words[0] for words in commands_of(ROOT / "README.md")}
    assert set(COMMAND.commands) - listed == set()  # type: ignore[attr-defined]


def test_what_does_not_exist_is_found() -> None:
    assert wrong_in(["trian", "run.yaml"]) == "no command 'trian'"
    assert wrong_in(["train", "run.yaml", "--procs", "2"]) == "'train' has no option --procs"
    assert wrong_in(["simulate", "plate", "raw"]) == ""
    assert sum(1 for page in PAGES for _ in commands_of(page)) > 150


@cache
def _sections() -> Mapping[str, list[tuple[type[BaseModel], ...]]]:
    """Name of a section of any config -> the models that may stand there."""
    found: dict[str, list[tuple[type[BaseModel], ...]]] = {}
    for model in KINDS.values():
        for key in keys_of(model):
            if key.choice is not None:
                registry = key.choice.registry
                found.setdefault(key.name, []).append(tuple(registry.get(name).config for name in registry.names()))
            elif key.section is not None:
                found.setdefault(key.name, []).append((key.section,))
    return found


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(model.model_fields)


def _unknown_key(dotted: str) -> bool:
    first, *rest = dotted.split(".")
    if first not in _sections() or not rest or rest[0].isdigit() or rest[0] == "N":
        return False
    models = [model for group in _sections()[first] for model in group]
    return not any(rest[0] in _names(model) for model in models) and not _of_python(first, rest[0])


def _of_python(first: str, name: str) -> bool:
    """Whether it is a name of Python: ``data.obs`` of an example, ``wandb.init``."""
    return name in FILES or name.endswith("()") or (ROOT / "framework" / first / f"{name}.py").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_dotted_keys_of_a_page_exist(page: Path) -> None:
    text = re.sub(r"```python.*?```", "", page.read_text(), flags=re.DOTALL)
    named = re.findall(r"`([a-z_]+(?:\.[a-z_A-Z0-9]+)+)(?:[:=][^`]*)?`", text)
    typed = [
        word.partition("=")[0] for words in commands_of(page) for word in words if re.match(r"[a-z_]+\.[\w.]+=", word)
    ]
    assert not sorted({key for key in (*named, *typed) if _unknown_key(key)})


def test_keys_that_do_not_exist_are_found() -> None:
    assert _unknown_key("train.stepz")
    assert not _unknown_key("train.steps")
    assert _unknown_key("tiles.size")
    assert not _unknown_key("objective.backbone")


def _unknown_in(plain: Any, models: tuple[type[BaseModel], ...]) -> list[str]:
    """Keys of a mapping that no model has; those of the model with the fewest."""
    if not isinstance(plain, Mapping):
        return []
    return min((_unknown_of(plain, model) for model in models), key=len, default=[])


def _unknown_of(plain: Mapping[Any, Any], model: type[BaseModel]) -> list[str]:
    found = []
    keys = {key.name: key for key in keys_of(model)}
    for name, value in plain.items():
        if name not in keys and name not in OTHER_FORMS:
            found.append(str(name))
        if name not in keys:
            continue
        key = keys[name]
        below: tuple[type[BaseModel], ...] = () if key.section is None else (key.section,)
        if key.choice is not None:
            registry = key.choice.registry
            below = tuple(registry.get(each).config for each in registry.names())
        values = (
            value
            if isinstance(value, list)
            else list(value.values())
            if key.many == "mapping" and isinstance(value, Mapping)
            else [value]
        )
        found += [f"{name}.{wrong}" for each in values for wrong in _unknown_in(each, below) if below]
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name != "extending"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_yaml_of_a_page_has_keys_that_exist(page: Path) -> None:
    """Pages on extending have keys of entries that they add; their own tests carry them out."""
    models = (*KINDS.values(), *(entry.get(name).config for entry in choices().values() for name in entry.names()))
    sections = tuple(model for groups in _sections().values() for group in groups for model in group)
    wrong = []
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        plain = parse_yaml(f"block:\n{textwrap.indent(block, '  ')}", page.name).data["block"]
        for each in plain if isinstance(plain, list) else [plain]:
            wrong += _unknown_in(each, (*models, *sections))
    assert not wrong
