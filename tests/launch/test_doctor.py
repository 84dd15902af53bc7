"""The doctor names what is missing for what, with the command that brings it; only a fault changes the exit code."""

from __future__ import annotations

import configparser
import importlib.metadata
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from launch import doctor
from launch.cli import app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on the disk and the limits of the machine that runs the tests."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 * 2**30))
    monkeypatch.setattr(resource, "getrlimit", lambda what: (4096, 4096))


def without(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Pretend that packages are of other versions, or missing."""
    true = importlib.metadata.version
    changed = {name.replace("_", "-"): version for name, version in versions.items()}

    def version(name: str) -> str:
        if name not in changed:
            return true(name)
        found = changed[name]
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)


def said() -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "400"})
    return result.exit_code, result.output


def line(text: str, begins: str) -> str:
    (found,) = [each for each in text.splitlines() if each.startswith(begins)]
    return found


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, scanpy="1.11.5")
    code, text = said()
    assert code == 0, text
    assert "FAULT" not in text
    assert f"torch {importlib.metadata.version('torch')}" in line(text, "ok    training:")
    assert line(text, "ok    open files per process:").endswith("4096")
    assert line(text, "ok    marker genes of IFC-seq:").endswith("scanpy 1.11.5")


def test_a_package_that_is_missing_is_a_fault_of_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, matplotlib=None)
    code, text = said()
    assert code == 1
    assert line(text, "FAULT") == "FAULT reports: matplotlib missing: pip install -U wellstream"


def test_an_optional_one_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, s3fs=None, umap_learn=None)
    code, text = said()
    assert code == 0
    assert line(text, "-     datasets and exports") == (
        "-     datasets and exports on s3://: s3fs missing: pip install -U 'wellstream[remote]'"
    )
    assert "umap-learn missing: pip install -U 'wellstream[analysis]'" in line(text, "-     UMAPs")


def test_a_version_outside_of_the_bounds_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["torch>=2.6", "s3fs>=2024.6; extra == 'remote'"])
    without(monkeypatch, torch="2.1.0", s3fs="2023.1.0")
    code, text = said()
    assert code == 1
    assert line(text, "FAULT training") == "FAULT training: torch 2.1.0 is not >=2.6: pip install -U wellstream"
    assert "s3fs 2023.1.0 is not >=2024.6" in line(text, "FAULT datasets and exports")


def test_a_folder_without_an_installation_has_no_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    without(monkeypatch, torch="2.1.0")
    assert said()[0] == 0


def test_limits_of_the_machine_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 4096))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**29))
    code, text = said()
    assert code == 1
    assert line(text, "FAULT open files").endswith("256: raise it with: ulimit -n 1024")
    assert "0 GiB free in this folder: make room" in text
    assert "0.5 GiB of shared memory" in line(text, "ok    0.5"), "one process needs little of it"
    monkeypatch.setattr(doctor.torch.cuda, "device_count", lambda: 2)
    facts = SimpleNamespace(name="G", total_memory=2**30)
    monkeypatch.setattr(doctor.torch.cuda, "get_device_properties", lambda index: facts)
    assert "too little for several GPUs: start the container with --shm-size 8g" in line(said()[1], "FAULT 0.5")


def test_a_cache_that_cannot_be_written_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, where a container without a home has no folder")
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "home" / "cache"))
    code, text = said()
    assert code == 1
    told = line(text, "FAULT cache of remote datasets (WELLSTREAM_CACHE): ")
    assert told.endswith("/home/cache cannot be written (Not a directory): WELLSTREAM_CACHE=FOLDER names another")


def test_every_package_of_the_installation_belongs_to_a_feature() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lists = {"": settings["options"]["install_requires"], **settings["options.extras_require"]}
    wanted = {key: {Requirement(line).name.lower() for line in text.split("\n") if line} for key, text in lists.items()}
    required = wanted[""]
    named = {name.lower() for names in doctor.FEATURES.values() for name in names}
    assert required - named == set()
    assert named - required <= {"distributed", "aiohttp", "h5py"}, "these come with others: dask, fsspec, anndata"
    for names, extra in doctor.OPTIONAL.values():
        assert set(names) <= wanted[extra]
    assert wanted["all"] == wanted["analysis"] | wanted["ifc"] | wanted["remote"]
    assert wanted["all"] == {name for names, _ in doctor.OPTIONAL.values() for name in names}
