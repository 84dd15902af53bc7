"""The reference of configs: one page per kind of file, one per registry, made of the models that check them."""

from __future__ import annotations

import html
from typing import Any

from framework.config.describe import Key, headline, keys_of
from framework.config.template import inline
from wellstream.configs import KINDS, choices

COMMANDS = {
    "plates": "wellstream ingest FILE --out DATASET",
    "cells": "wellstream ingest FILE --out DATASET",
    "run": "wellstream train FILE",
    "heads": "wellstream heads FILE",
    "study": "wellstream study FILE",
    "cluster": "wellstream train CONFIG --on slurm --cluster FILE",
    "prepare": "wellstream prepare FILE --out X.h5ad",
    "express": "wellstream express FILE --out FOLDER",
    "evaluate": "wellstream evaluate PREDICTIONS --out FOLDER key=value",
    "baselines": "wellstream evaluate RUN --baselines all baselines.key=value",
    "evaluate-features": "wellstream evaluate-features FEATURES --out FOLDER",
    "normalise": "wellstream normalise PROFILES --out FILE",
    "aggregate": "wellstream aggregate PROFILES --out FILE",
    "retrieve": "wellstream retrieve PROFILES --out FOLDER",
    "simulate-plate": "wellstream simulate plate OUT --config FILE",
    "simulate-ifc": "wellstream simulate ifc OUT --config FILE",
    "simulate-crops": "wellstream simulate crops OUT --config FILE",
}
Pages = dict[str, tuple[str, str]]
"""Path of a page -> its title, its text."""


def file_pages() -> Pages:
    """Return one page per kind of file."""
    return {f"reference/files/{kind}.md": (kind, _file_page(kind, model)) for kind, model in KINDS.items()}


def choice_pages() -> Pages:
    """Return one page per registry, with the keys of each entry."""
    return {
        f"reference/choices/{kind}.md": (kind, _choice_page(kind, registry)) for kind, registry in choices().items()
    }


def _file_page(kind: str, model: type[Any]) -> str:
    head = (
        f"# {kind}\n\n{_sentence(headline(model))}\n\n"
        f"Read by `{COMMANDS[kind]}`. Write it out with `wellstream config {kind}`.\n\n"
    )
    return head + _tables(model, (), 2)


def _choice_page(kind: str, registry: Any) -> str:
    name = kind.replace("-", " ")
    text = f"# {name[:1].upper()}{name[1:]}\n\nWhere a config chooses one {name}, it may choose one of these.\n\n"
    for entry in registry.names():
        model = registry.get(entry).config
        said = _sentence(headline(registry.get(entry).build) or headline(model))
        text += f"## {entry}\n\n{said}\n\n`wellstream config {kind}.{entry}` writes it out.\n\n{_tables(model, (), 3)}"
    return text


def _tables(model: type[Any], path: tuple[str, ...], level: int) -> str:
    """Return the table of a section, then those of the sections below it."""
    keys = keys_of(model)
    rows = [_row(key) for key in keys if key.several_values]
    text = ""
    if rows:
        text = "| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
    for key in keys:
        if key.section is not None:
            below = (*path, key.name)
            where = {"list": "each entry of ", "mapping": "each value of "}.get(key.many, "")
            text += f"{'#' * level} {where}`{'.'.join(below)}`\n\n{_sentence(headline(key.section))}\n\n"
            text += _tables(key.section, below, level)
    return text


def _row(key: Key) -> str:
    meaning = _sentence(key.meaning)
    if key.choice is not None:
        page = key.choice.registry.kind.replace(" ", "-")
        meaning += (
            f" One of: {', '.join(f'[{name}](../choices/{page}.md#{name})' for name in key.choice.registry.names())}."
        )
    if key.required:
        default = "**required**"
    elif key.choice is not None and (chosen := key.choice.entry_name(key.default)) is not None:
        default = f"`{chosen}`"
    elif key.section is not None and not key.many and key.default is not None:
        default = "see below"
    else:
        default = f"`{inline(key.default)}`"
    return f"| `{key.name}` | {cell(key.words)} | {cell(default)} | {cell(meaning)} |"


def _sentence(text: str) -> str:
    text = text.replace("``", "`")
    if not text:
        return ""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ":", "?")) else ".")


def cell(text: str) -> str:
    """Return text as a cell of a table: no bar ends it, no angle bracket begins a tag outside of code."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else html.escape(part, quote=False) for place, part in enumerate(parts))
