"""One way in: YAML file + dotted overrides -> a frozen config object, or sentences that say what is wrong where."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from framework.config.explain import dotted, explain, shown
from framework.config.model import StrictModel
from framework.config.source import KeyPath, Source, parse_scalar, parse_yaml, read_yaml
from framework.config.yaml_rules import Dumper
from framework.errors import ConfigError
from framework.plugins import load_plugins

M = TypeVar("M", bound=StrictModel)


def load_config(path: Path | str | Mapping[str, Any], model: type[M], overrides: Sequence[str] = ()) -> M:
    """Read a YAML config.

    Args:
        path: the file, or what it would hold as a mapping.
        model: the config class it must describe.
        overrides: ``a.b.0.c=value`` from the command line; values follow YAML rules.

    Raises:
        ConfigError: with one line per mistake: ``file:line: dotted.path: expected ..., found ...``.
    """
    return build_config(read_yaml(path), model, overrides)


def parse_config(text: str, model: type[M], name: str = "config", overrides: Sequence[str] = ()) -> M:
    """Build a config from YAML text; ``name`` stands for the file in messages. Raises as ``load_config``."""
    return build_config(parse_yaml(text, name), model, overrides)


def build_config(source: Source, model: type[M], overrides: Sequence[str] = ()) -> M:
    """Apply ``overrides`` to ``source``, load the plugins it names and validate it as ``model``.

    Raises as ``load_config``, and as ``load_plugins``. Paths of plugins begin at the folder of the config file.
    """
    merged = apply_overrides(source, overrides)
    wrong = [
        f"{merged.where(path)}: {dotted(path)}: expected a finite number, found {value}"
        for path, value in _not_finite(merged.data, ())
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))
    if "plugins" in model.model_fields:
        merged, wrong = _with_plugins(merged)
    try:
        config = model.from_plain(merged.data)
    except ValidationError as error:
        # A plugin that was not loaded may be what offers a name that nobody knows.
        explained = explain(error, merged, model, names_are_known=not wrong)
        wrong += [explained] if explained else []
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config


def _not_finite(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, float]]:
    """Yield the numbers of a config that are infinite or none, also ``1e400``: no key means anything by them."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(inner, (*path, key))


def _with_plugins(source: Source) -> tuple[Source, list[str]]:
    """Load the plugins of a config, which may register what its other keys name.

    Returns:
        The config with the plugins as they are kept, and a sentence about each that cannot be loaded.
    """
    names = source.data.get("plugins")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return source, []  # no list of names: validation says so
    folder = Path(source.name).absolute().parent if Path(source.name).is_file() else None
    kept, wrong = [], []
    for name in names:
        try:
            kept += load_plugins([name], f"{source.where(('plugins',))}: plugins", folder)
        except ConfigError as error:
            wrong.append(str(error))
    return replace(source, data={**source.data, "plugins": kept}), wrong


def apply_overrides(source: Source, overrides: Sequence[str]) -> Source:
    """Return ``source`` with each ``dotted.path=value`` set; intermediate mappings are made where they are missing.

    Raises:
        ConfigError: the file is not a mapping, or an override has no place in it.
    """
    if not isinstance(source.data, dict):
        raise ConfigError(
            f"{source.name}:1: (top level): expected a mapping of config sections, found {shown(source.data)}"
        )
    data = copy.deepcopy(source.data)
    overridden = dict(source.overridden)
    wrong = []
    for text in [overrides] if isinstance(overrides, str) else overrides:
        try:
            overridden[_override(data, text)] = text
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return Source(name=source.name, data=data, lines=source.lines, overridden=overridden)


def _override(data: Any, text: str) -> KeyPath:
    """Set what an override says; return its key path."""
    left, equals, right = text.partition("=")
    if not equals or not left.strip():
        raise ConfigError(f"override '{text}': expected dotted.path=value, as in train.steps=100")
    path: KeyPath = tuple(int(part) if part.isdigit() else part for part in left.strip().split("."))
    _set(data, path, parse_scalar(right, f"override '{text}'"), text)
    return path


def _set(data: Any, path: KeyPath, value: Any, text: str) -> None:
    here: Any = data
    for part in path[:-1]:
        if isinstance(here, dict):
            here = here.setdefault(str(part), {})
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            raise ConfigError(f"override '{text}': there is no section '{part}'")
    last = path[-1]
    if isinstance(here, dict):
        last = str(last)
    is_entry = isinstance(here, list) and isinstance(last, int) and last < len(here)
    if not (isinstance(here, dict) or is_entry):
        raise ConfigError(f"override '{text}': there is no key '{last}' to set")
    here[last] = value


def to_yaml(config: StrictModel) -> str:
    """Return the resolved config as YAML; ``parse_config`` of it gives an equal object."""
    text: str = yaml.dump(config.plain(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def config_digest(config: StrictModel) -> str:
    """Return the first 16 hex digits of the SHA-256 of the resolved config; equal configs have equal digests."""
    canonical = json.dumps(config.plain(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
