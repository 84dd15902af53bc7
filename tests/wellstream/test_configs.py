"""Every kind of config is written out whole: no key without a meaning, no default but the true one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import wellstream as ws
from framework.config import StrictModel
from framework.config.describe import keys_of
from framework.config.template import OPEN
from framework.errors import ConfigError, RegistryError
from launch.cli import app
from wellstream.configs import KINDS, choices

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "run": ["image2omics/pretrain.yaml", "ifc_seq/train_simulated.yaml", "ifc_seq/jurkat_brightfield.yaml"],
    "heads": ["image2omics/heads.yaml"],
    "plates": ["demo/ingest.yaml", "nf1_genotype/ingest.yaml", "marker_regression/ingest.yaml"],
    "cells": ["ifc_seq/ingest_simulated.yaml", "paired_cell_inpainting/ingest_hpa_code.yaml"],
    "study": ["demo/study.yaml"],
    "prepare": ["ifc_seq/cells_simulated.yaml"],
    "express": ["ifc_seq/express_simulated.yaml"],
    "simulate-plate": ["demo/simulate.yaml"],
    "simulate-ifc": ["ifc_seq/simulate.yaml"],
}


def models() -> dict[str, type[StrictModel]]:
    """Every section that a config may hold, entries of registries too."""
    found: dict[str, type[StrictModel]] = {}
    waiting = [*KINDS.values(), *(r.get(name).config for r in choices().values() for name in r.names())]
    while waiting:
        model = waiting.pop()
        if f"{model.__module__}.{model.__qualname__}" not in found:
            found[f"{model.__module__}.{model.__qualname__}"] = model
            waiting += [key.section for key in keys_of(model) if key.section is not None]
    return found


def laid_over(template: Any, written: Any) -> Any:
    """What a file says in the place of what the template says; other lists and entries as the file has them."""
    if not isinstance(template, dict) or not isinstance(written, dict):
        return written
    return {**template, **{key: laid_over(template.get(key), value) for key, value in written.items()}}


def picks(model: type[StrictModel], written: Any, path: str = "") -> list[str]:
    """Which entries a file chooses, as words of the command."""
    found = []
    for key in keys_of(model):
        value = written.get(key.name) if isinstance(written, dict) else None
        if key.choice is not None and isinstance(value, dict | str) and not key.many:
            name = key.choice.entry_name(value)
            assert name is not None
            inside = key.choice.registry.get(name).config
            found += [f"{path}{key.name}={name}", *picks(inside, value, f"{path}{key.name}.")]
        elif key.section is not None and not key.many and isinstance(value, dict) and key.default is not None:
            found += picks(key.section, value, f"{path}{key.name}.")
    return found


def test_every_key_has_a_meaning() -> None:
    found = models()
    assert len(found) > 100
    bare = [
        f"{name}.{key.name}"
        for name, model in found.items()
        for key in keys_of(model)
        if not key.meaning and key.several_values
    ]
    assert not bare, f"write a sentence below these fields: {bare}"


def test_every_type_is_in_words() -> None:
    types = {key.words for model in models().values() for key in keys_of(model)}
    strange = [
        text
        for text in types
        if re.search(r"Config|typing|Annotated|<|\bstr\b|\bNone\b", text.replace("<=", "").replace("< ", ""))
    ]
    assert not strange


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in FILES.items() for file in files])
def test_the_defaults_written_are_those_of_the_check(kind: str, file: str) -> None:
    written = yaml.safe_load((ROOT / "experiments" / file).read_text())
    if kind == "heads":
        written["data"]["embeddings"] = "tiles.h5ad"  # the command line gives it
    template = yaml.safe_load(ws.config(kind, overrides=picks(KINDS[kind], written)))
    whole = laid_over(template, written)
    assert KINDS[kind].from_plain(without_open(whole)) == KINDS[kind].from_plain(written)


def without_open(plain: Any) -> Any:
    """Drop what the file lacks although the template asks for it, in sections that the file does not have."""
    if not isinstance(plain, dict):
        return plain
    return {key: without_open(value) for key, value in plain.items() if value != OPEN}


def test_every_kind_is_yaml_with_all_its_keys_and_without_open_ones_the_default() -> None:
    complete = 0
    for kind in ws.config_kinds():
        of, _, name = kind.partition(".")
        model = KINDS[kind] if kind in KINDS else choices()[of].get(name).config
        plain = yaml.safe_load(ws.config(kind)) or {}
        assert list(plain) == list(model.model_fields), kind
        if OPEN not in str(plain) and not any(key.required for key in keys_of(model)):
            try:
                default = model()
            except ValueError:
                continue  # it asks for one of several keys
            assert model.from_plain(plain) == default, kind
            complete += 1
    assert complete > 25


def test_what_is_not_there_is_answered() -> None:
    with pytest.raises(ConfigError, match=r"no kind of config is called 'rum'.*did you mean 'run'"):
        ws.config("rum")
    with pytest.raises(RegistryError, match=r"no objective is called 'triplet'.*did you mean 'triplet_mil'"):
        ws.config("objective.triplet")
    with pytest.raises(ConfigError, match="expected key=entry"):
        ws.config("run", overrides=["triplet_mil"])


def test_the_command_prints_what_the_call_returns() -> None:
    said = CliRunner().invoke(app, ["config", "run", "objective=triplet_mil", "plan=bags"])
    assert (said.exit_code, said.stdout) == (0, ws.config("run", overrides=["objective=triplet_mil", "plan=bags"]))
    listed = CliRunner().invoke(app, ["config"]).stdout.splitlines()
    assert listed == ws.config_kinds()
    assert {"run", "plates", "objective.triplet_mil", "nucleus-method.labels"} <= set(listed)
