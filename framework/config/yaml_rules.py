"""Which YAML a config may be: the types of plain values, and limits that keep a hostile file from using up the machine.

Differences from YAML 1.1, each because a config means it: ``1e-4`` is a number; only ``true`` and ``false`` are
booleans (a perturbation may be called ``NO``); whole numbers are decimal, so ``1:30`` (base 60), ``0777`` (octal) and
``0042`` stay text as dates do; keys are text as they are written. Tags are refused, and so are aliases that contain
themselves or expand without bound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

MOST_BYTES = 1 << 20
MOST_VALUES = 100_000
MOST_LEVELS = 50

_TAG = "tag:yaml.org,2002:"
_DECIMAL = "(?:0|[1-9][0-9]*)"
_RULES = (
    (f"{_TAG}bool", re.compile(r"^(?:true|false|True|False)$"), "tTfF"),
    (f"{_TAG}int", re.compile(rf"^[-+]?{_DECIMAL}$"), "-+0123456789"),
    (
        f"{_TAG}float",
        re.compile(
            rf"^[-+]?(?:(?:{_DECIMAL}\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|{_DECIMAL}[eE][-+]?[0-9]+|\.inf|\.nan)$"
        ),
        "-+0123456789.",
    ),
)
_KEPT = (f"{_TAG}null", f"{_TAG}merge")
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it: ten times as fast."""


class Loader(_Base):  # type: ignore[misc]
    """A safe loader with the rules above."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """Return a mapping whose keys are the text that is written."""
        self.flatten_mapping(node)
        found = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "expected text as a key", key.start_mark)
            found[key.value] = self.construct_object(value, deep=deep)
        return found


class Dumper(yaml.SafeDumper):
    """A safe dumper that quotes every text which these rules or those of YAML 1.1 would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value as often as it occurs."""
        return True


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag in _KEPT]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in _RULES:
    Loader.add_implicit_resolver(_tag, _pattern, list(_first))
    Dumper.add_implicit_resolver(_tag, _pattern, list(_first))


class Refused(ValueError):
    """Valid YAML that is not read, with its line."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(kw_only=True)
class _Open:
    """A collection that has begun: its anchor, and how many values it has so far."""

    anchor: str | None
    values: int = 1


def check_events(text: str) -> None:
    """Read ``text`` without building anything of it.

    Raises:
        Refused: it is too large, nested too deeply, has a tag, a NUL or half a letter, or aliases without end.
        yaml.YAMLError: it is not YAML.
    """
    if len(text) > MOST_BYTES:
        raise Refused(1, f"{len(text)} letters; expected a config of at most {MOST_BYTES}")
    sizes: dict[str, int] = {}
    levels = [_Open(anchor=None)]
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionEndEvent):
            done = levels.pop()
            sizes |= {done.anchor: done.values} if done.anchor else {}
            levels[-1].values += done.values
        elif isinstance(event, yaml.NodeEvent):
            _check_event(event, line, levels)
            if isinstance(event, yaml.CollectionStartEvent):
                levels.append(_Open(anchor=event.anchor))
            else:
                levels[-1].values += _values(event, line, sizes, levels)
        if sum(each.values for each in levels) > MOST_VALUES:
            raise Refused(line, f"more than {MOST_VALUES} values, aliases included")


def _check_event(event: Any, line: int, levels: list[_Open]) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None:
        shown = tag.replace(_TAG, "!!")
        raise Refused(line, f"the tag '{shown}' is not read; write the value without it, text in quotes")
    if len(levels) > MOST_LEVELS:
        raise Refused(line, f"nested more than {MOST_LEVELS} levels deep")
    value = getattr(event, "value", None) or ""
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Refused(line, "a text with a NUL or half a letter in it; leave it out")


def _values(event: yaml.NodeEvent, line: int, sizes: dict[str, int], levels: list[_Open]) -> int:
    if not isinstance(event, yaml.AliasEvent):
        sizes |= {event.anchor: 1} if event.anchor else {}
        return 1
    if any(each.anchor == event.anchor for each in levels):
        raise Refused(line, f"the alias '*{event.anchor}' contains itself")
    return sizes.get(str(event.anchor), 1)
