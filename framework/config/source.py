"""YAML text with line numbers: what the loader needs to say where in a file a mistake stands.

Differences from plain YAML 1.1, each because a config means it: ``1e-4`` is a number, only ``true`` and ``false`` are
booleans (a perturbation may be called ``NO``), dates stay text, and a key written twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from framework.errors import ConfigError, did_you_mean

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader with the three resolvers named in the module docstring."""


_REMOVED = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float"}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in _REMOVED]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false|True|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)$"),
    list("-+0123456789."),
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Parsed YAML and where each value stands.

    Attributes:
        name: file name as the user wrote it.
        data: dicts, lists and scalars.
        lines: 1-based line of every key path.
        overridden: key paths that came from the command line, with the text of the override.
    """

    name: str
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overridden: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Return ``file:line`` of ``path`` or of its nearest parent, or the override that set it."""
        for length in range(len(path), -1, -1):
            head = path[:length]
            if head in self.overridden:
                return f"override '{self.overridden[head]}'"
            if head in self.lines:
                return f"{self.name}:{self.lines[head]}"
        return self.name


def _walk(node: yaml.Node, path: KeyPath, name: str) -> Iterator[tuple[KeyPath, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{name}:{line}: {key.value}: key written twice, first on line {seen[key.value]}")
            seen[key.value] = line
            for child, child_line in _walk(value, (*path, key.value), name):
                yield child, line if child == (*path, key.value) else child_line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*path, index), name)


def parse_yaml(text: str, name: str) -> Source:
    """Parse one YAML document.

    Raises:
        ConfigError: not YAML, more than one document, or a key written twice; with file and line.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}:1: not valid YAML: {' '.join(str(error).split())}") from None
    if node is None:
        raise ConfigError(f"{name}:1: the file is empty; expected a mapping of config sections")
    return Source(name=name, data=data, lines=dict(_walk(node, (), name)))


def read_yaml(path: Path | str) -> Source:
    """Read and parse a YAML file (UTF-8).

    Raises:
        ConfigError: the file is missing, unreadable or not YAML.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file{_nearest_file(file)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a config file: {error}") from None
    return parse_yaml(text, str(path))


def parse_scalar(text: str, name: str) -> Any:
    """Parse the right-hand side of a command-line override by the same YAML rules."""
    return parse_yaml(text, name).data if text.strip() else None


def _nearest_file(file: Path) -> str:
    if not file.parent.is_dir():
        return ""
    return did_you_mean(file.name, [p.name for p in file.parent.iterdir() if p.suffix in {".yaml", ".yml"}])
