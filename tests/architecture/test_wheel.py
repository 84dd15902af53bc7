"""What ``setup.cfg`` puts into the wheel: all that the five packages hold, and neither tests nor benchmarks."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("wellstream", "framework", "data_tools", "launch", "experiments")
RECORDED = "results"
"""Folders of numbers that a protocol recorded: they belong to the repository, no code reads them."""


@pytest.fixture(scope="module")
def settings() -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg")
    return read


def test_the_five_packages_are_taken_and_nothing_else(settings: configparser.ConfigParser) -> None:
    assert settings["options"]["packages"] == "find:"
    assert set(settings["options.packages.find"]["include"].split()) == {f"{name}*" for name in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_code_is_a_package(package: str) -> None:
    """``find:`` leaves out a folder without ``__init__.py``, and all below it."""
    above = (folder for file in (ROOT / package).rglob("*.py") for folder in file.relative_to(ROOT).parents[:-1])
    folders = {ROOT / folder for folder in above}
    lacking = [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()]
    assert lacking == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_other_file_is_named_as_data(settings: configparser.ConfigParser, package: str) -> None:
    taken: set[Path] = set()
    for owner, patterns in settings["options.package_data"].items():
        if owner.split(".")[0] == package:
            folder = ROOT / Path(*owner.split("."))
            taken.update(*(folder.glob(pattern.strip()) for pattern in patterns.split(",")))
    others = {file for file in (ROOT / package).rglob("*") if file.is_file() and file.suffix != ".py"}
    assert [file for file in sorted(others - taken) if not {RECORDED, "__pycache__"} & set(file.parts)] == []
