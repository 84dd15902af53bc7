"""YAML text with line numbers: so that the loader can name the line of a mistake.

What a plain value means, and what is not read at all, say the rules in ``yaml_rules``; a key written twice is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

from framework.config.yaml_rules import MOST_BYTES, Loader, Refused, check_events
from framework.errors import ConfigError
from framework.files.failures import check_regular, near_name, reason

_NO_TABS = "tabs are not allowed before a key or value; use spaces"
KeyPath = tuple[str | int, ...]


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
        """Return ``file:line`` of ``path`` or of its nearest parent, or the override that set it or made it."""
        origin = self._origin(path)
        if isinstance(origin, str):
            return f"override '{origin}'"
        return f"{self.name}:{origin}" if origin else self.name

    def line(self, path: KeyPath) -> int:
        """Return the line of ``path`` or of its nearest parent; 0 where it came from the command line."""
        origin = self._origin(path)
        return 0 if isinstance(origin, str) else origin

    def _origin(self, path: KeyPath) -> str | int:
        """Return the override that set ``path``, or made it to put a key into it, or the line in the file; else 0."""
        if self.lines and path not in self.lines:
            made = [text for key, text in self.overridden.items() if key[: len(path)] == path]
            if made:
                return made[0]
        for length in range(len(path), -1, -1):
            head = path[:length]
            if head in self.overridden:
                return self.overridden[head]
            if head in self.lines:
                return self.lines[head]
        return 0


def _walk(node: yaml.Node, path: KeyPath, name: str, wrong: list[str]) -> Iterator[tuple[KeyPath, int]]:
    """Yield each key path and its line; sentences about keys that cannot be read go to ``wrong``."""
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                wrong.append(f"{name}:{line}: expected text as a key, found a list or mapping")
                continue
            if key.value in seen:
                wrong.append(f"{name}:{line}: {key.value}: key written twice, first on line {seen[key.value]}")
            seen.setdefault(key.value, line)
            for child, child_line in _walk(value, (*path, key.value), name, wrong):
                yield child, line if child == (*path, key.value) else child_line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*path, index), name, wrong)


def _plain(value: Any, path: KeyPath) -> Any:
    """What a YAML file would hold in the place of a value of Python."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, number)) for number, item in enumerate(value)]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "plain"):
        return value.plain()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ConfigError(
        f"config: {'.'.join(str(part) for part in path)}: expected text, a number, a list or a mapping, found "
        f"{type(value).__name__}"
    )


def parse_yaml(text: str, name: str) -> Source:
    """Parse one YAML document.

    Raises:
        ConfigError: not YAML, more than one document, a key written twice, or YAML that is not read (tags, aliases
            without end, too many or too deeply nested values); with file and line.
    """
    loader = None
    try:
        check_events(text)
        loader = Loader(text)
        node = loader.get_single_node()
        wrong: list[str] = []
        lines = {} if node is None else dict(_walk(node, (), name, wrong))
        if wrong:
            raise ConfigError("\n".join(wrong))
        data = None if node is None else loader.construct_document(node)
    except ConfigError:
        raise
    except Refused as error:
        raise ConfigError(f"{name}:{error.line}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {_why(error, text)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(text.find(chr(error.character)), 0)) + 1
        raise ConfigError(
            f"{name}:{line}: not valid YAML: a letter that is not allowed (U+{error.character:04X})"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}:1: not valid YAML: {reason(error)}") from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        raise ConfigError(f"{name}:1: the file is empty; expected a mapping of config sections")
    return Source(name=name, data=data, lines=lines)


_IN_WORDS = {
    "mapping values are not allowed": "a key where none can stand: is a space missing after the colon of the line "
    "before (name: value), or is this line indented too far?",
    "did not find expected ',' or ']'": "a list that does not end: is a ']' or a comma missing here or in the line "
    "before?",
    "did not find expected ',' or '}'": "a section that does not end: is a '}' or a comma missing here or in the line "
    "before?",
    "did not find expected key": "no key where one is expected: is this line indented as those before it?",
}


def _why(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return what is wrong, in words for somebody who has never heard of tokens."""
    mark = error.problem_mark
    if "tab character" in str(error.problem):
        return _NO_TABS
    if mark is not None and "cannot start any token" in str(error.problem):
        line = text.split("\n")[mark.line] if mark.line <= text.count("\n") else ""
        letter = line[mark.column : mark.column + 1]
        if "\t" in line[: len(line) - len(line.lstrip())] or letter == "\t":
            return _NO_TABS
        if letter:
            return f"a value cannot begin with {letter}; write it in quotes"
    said = str(error.problem or error.context)
    return next((words for part, words in _IN_WORDS.items() if part in said), said)


def read_yaml(path: Path | str | Mapping[str, Any]) -> Source:
    """Read and parse a YAML file (UTF-8); or take what it would hold as a mapping, from Python.

    Raises:
        ConfigError: the file is missing, unreadable or not YAML; or a mapping holds what no YAML file can.
    """
    if isinstance(path, Mapping):
        return Source(name="config", data=_plain(path, ()))
    file = Path(path)
    try:
        if not file.exists():
            raise ConfigError(f"{path}: no such config file{near_name(file, ('.yaml', '.yml'))}")
        if check_regular(file, ConfigError, "a config file (YAML)") > 4 * MOST_BYTES:
            raise ConfigError(f"{path}: too large for a config file; expected at most {MOST_BYTES} bytes of YAML")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a config file: {reason(error)}") from None
    return parse_yaml(text, str(path))


def parse_scalar(text: str, name: str) -> Any:
    """Parse the right-hand side of a command-line override by the same YAML rules."""
    return parse_yaml(text, name).data if text.strip() else None
