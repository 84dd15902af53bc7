"""A config written out: every key with its default, its type and its meaning as comments, ready to be filled in."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from framework.config.describe import Key, headline, keys_of
from framework.config.yaml_rules import Dumper
from framework.errors import ConfigError

OPEN = "..."
"""What stands where a value must be given."""
_WIDTH = 110


def template(model: type[BaseModel], picks: Mapping[str, str] | None = None) -> str:
    """Return a config of ``model`` as YAML with comments.

    Keys with a default have it; ``...`` stands where a value must be given. Sections that are not there by default are
    comments. What is read from the text, with ``...`` filled in, is what a config without the other keys would be.

    Args:
        model: the config.
        picks: dotted key -> entry, as ``objective: triplet_mil``, to write the keys of that entry instead of those of
            the default one.

    Raises:
        ConfigError: a pick names no choice of this config.
        RegistryError: it names no entry.
    """
    wanted = dict(picks or {})
    lines = list(_lines(model, {}, (), wanted))
    if wanted:
        raise ConfigError(
            f"{', '.join(wanted)}: no such key in this config, or the key does not choose an entry; see the "
            "keys with: wellstream config KIND"
        )
    return "\n".join([*_comment(headline(model)), *lines, ""])


def inline(value: Any) -> str:
    """Return YAML-shaped data in one line."""
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _lines(
    model: type[BaseModel], given: Mapping[str, Any], path: tuple[str, ...], picks: dict[str, str]
) -> Iterator[str]:
    """Yield the lines of a section; ``given`` are defaults that the section above states."""
    for key in keys_of(model):
        yield from _comment(described(key).replace("``", "`"))
        default = given.get(key.name, key.default)
        missing = key.required and key.name not in given
        if key.choice is not None:
            yield from _chosen(key, default, missing, (*path, key.name), picks)
        elif key.section is not None:
            yield from _section(key, default, missing, (*path, key.name), picks)
        else:
            said = f"{key.words}{', required' if missing else ''}".replace("`", "")
            yield f"{key.name}: {OPEN if missing else inline(default)}" + (f"  # {said}" if key.several_values else "")


def described(key: Key) -> str:
    """Return what a key means, with the entries it may choose from."""
    text = key.meaning[:1].upper() + key.meaning[1:]
    if key.choice is None:
        return text
    return f"{text.rstrip('.')}. One of: {', '.join(key.choice.registry.names())}."


def _section(key: Key, default: Any, missing: bool, path: tuple[str, ...], picks: dict[str, str]) -> Iterator[str]:
    section = key.section
    if section is None:
        raise TypeError(f"{key.name} has no section")
    if key.many:
        yield from _several(key, list(_lines(section, {}, path, picks)), default, missing)
    elif default is None and not missing:
        yield f"{key.name}: null  # {key.words}; its keys:"
        yield from (f"#   {line}" for line in _lines(section, {}, path, picks))
    else:
        yield f"{key.name}:"
        yield from _indented(_lines(section, default if isinstance(default, dict) else {}, path, picks))


def _chosen(key: Key, default: Any, missing: bool, path: tuple[str, ...], picks: dict[str, str]) -> Iterator[str]:
    picked = key.choice
    if picked is None:
        raise TypeError(f"{key.name} chooses nothing")
    one = default[0] if isinstance(default, list) and len(default) == 1 else default
    asked = picks.pop(".".join(path), None)
    if isinstance(one, list) and asked is None:  # none, or several
        yield f"{key.name}: {inline(one)}  # {key.words}"
        return
    name = asked or picked.entry_name(one) or picked.default
    if name is None or (default is None and not missing and asked is None):
        yield f"{key.name}: null" if not missing else f"{key.name}: {{{picked.key}: {OPEN}}}  # required"
        return
    model = picked.registry.get(name).config
    lines = list(_lines(model, one if isinstance(one, dict) and asked is None else {}, path, picks))
    if key.many:
        yield from _several(key, lines, default, missing=True)
        return
    yield f"{key.name}:"
    yield from _indented(lines)


def _several(key: Key, lines: list[str], default: Any, missing: bool) -> Iterator[str]:
    """Yield one entry of a list or mapping, as a comment where there is none by default."""
    begin = "NAME:" if key.many == "mapping" else "-"
    joins = begin == "-" and not lines[0].startswith("#")
    entry = [f"- {lines[0]}", *_indented(lines[1:])] if joins else [begin, *_indented(lines)]
    if missing:
        yield f"{key.name}:"
        yield from _indented(entry)
    else:
        yield f"{key.name}: {inline(default)}  # {key.words}; an entry:"
        yield from (f"#   {line}" for line in entry)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)
