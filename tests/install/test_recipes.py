"""Recipes of conda and containers ask for what setup.cfg asks for, and name files that are there; nothing is built."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from framework import __version__

ROOT = Path(__file__).resolve().parents[2]
CONDA = {
    "dask": ("dask-core", "distributed"),
    "matplotlib": ("matplotlib-base",),
    "opencv-python-headless": ("py-opencv",),
    "torch": ("pytorch",),
}
"""Names of conda-forge, where they differ from those of PyPI."""


@pytest.fixture(scope="module")
def settings() -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg")
    return read


def wanted(text: str) -> dict[str, SpecifierSet]:
    found = [Requirement(line) for line in text.splitlines() if line]
    return {name: each.specifier for each in found for name in CONDA.get(each.name, (each.name,))}


def of_conda(lines: list[str]) -> dict[str, SpecifierSet]:
    pairs = [line.partition(" ") for line in lines]
    return {name: SpecifierSet(bounds) for name, _, bounds in pairs}


def test_the_conda_recipe_asks_for_the_same(settings: configparser.ConfigParser) -> None:
    recipe: Any = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
    run = of_conda(recipe["requirements"]["run"])
    assert run.pop("python") == SpecifierSet(settings["options"]["python_requires"])
    assert run.pop("aiohttp") == SpecifierSet(), "what fsspec[http] brings"
    assert run == wanted(settings["options"]["install_requires"])
    assert of_conda(recipe["requirements"]["run_constraints"]) == wanted(settings["options.extras_require"]["all"])
    assert recipe["context"]["version"] == __version__
    assert recipe["build"]["python"]["entry_points"] == [settings["options.entry_points"]["console_scripts"].strip()]
    assert (ROOT / "conda" / recipe["source"]["path"]).resolve() == ROOT


def test_the_environment_takes_the_tested_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = environment["dependencies"][-1]["pip"]
    assert pip == ["-c constraints.txt", ".[all]"]
    assert (ROOT / "constraints.txt").is_file()


def instructions(name: str) -> list[tuple[str, str]]:
    """Instruction and words of each line, continued lines joined, comments left out."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(head, rest) for head, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("name", ["Containerfile", "Containerfile.cuda"])
def test_a_container_copies_all_that_the_wheel_takes(name: str, settings: configparser.ConfigParser) -> None:
    found = instructions(name)
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert {head for head, _ in found} <= known
    copied = {word for head, rest in found if head == "COPY" and "--from" not in rest for word in rest.split()[:-1]}
    assert all((ROOT / word).exists() for word in copied)
    packages = {each.removesuffix("*") for each in settings["options.packages.find"]["include"].split()}
    assert packages <= copied
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= copied
    assert json.loads(dict(found)["ENTRYPOINT"]) == ["wellstream"]
    assert "USER" in dict(found), "not as root"


def test_containers_differ_in_the_build_of_torch_alone() -> None:
    plain, cuda = (instructions(name) for name in ("Containerfile", "Containerfile.cuda"))
    options = ("ARG", 'TORCH_OPTIONS="--index-url https://download.pytorch.org/whl/cpu"')
    assert plain.pop(plain.index(options)) == options
    differing = [(one, other) for one, other in zip(plain, cuda, strict=True) if one != other]
    assert len(differing) == 1
    assert differing[0][0][1] == f"{differing[0][1][1]} $TORCH_OPTIONS"
    assert re.search(r"^torch==\d", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
