"""Whatever ends an export early, nothing of it is left; what cannot be exported is said before anything is written."""

from __future__ import annotations

import errno
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.dataset import Dataset
from framework.data.export import EXPORTS, export_dataset, is_dataset
from framework.errors import ConfigError, DatasetError, RegistryError

FORMATS = EXPORTS.names()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data") / "data", bags=3, size=32)


def test_these_are_the_formats() -> None:
    assert FORMATS == ["h5sc", "omezarr", "tiff", "webdataset"]


@pytest.mark.parametrize("to", FORMATS)
def test_progress_ends_at_the_number_of_cells_and_the_size_is_that_of_the_files(
    to: str, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()  # an empty folder is as good as none
    seen: list[tuple[str, int, int]] = []
    made = export_dataset(
        dataset, tmp_path / "out", to=to, progress=lambda stage, done, total: seen.append((stage, done, total))
    )
    assert seen[0] == ("export", 0, 24)
    assert seen[-1] == ("export", 24, 24)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert made.size == sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_export_leaves_nothing(
    to: str, error: type[BaseException], dataset: Dataset, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done:
            raise error("stop")

    with pytest.raises(error):
        export_dataset(dataset, tmp_path / "out", to=to, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", FORMATS)
def test_a_full_disk_is_an_error_that_names_the_folder_and_leaves_nothing(
    to: str, dataset: Dataset, tmp_path: Path
) -> None:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        code = 1
        try:
            export_dataset(dataset, tmp_path / "out", to=to)
        except OSError as error:
            code = 0 if error.errno == errno.EFBIG and str(error.filename).startswith(str(tmp_path / "out")) else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", FORMATS)
def test_a_folder_with_files_stays_as_it_is(to: str, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="out: holds files already; name a new folder after --out"):
        export_dataset(dataset, tmp_path / "out", to=to)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    with pytest.raises(NotADirectoryError):
        export_dataset(dataset, tmp_path / "out" / "mine.txt", to=to)


def test_damaged_pixels_are_not_exported(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", bags=2)
    shard = made.root / made.manifest.shards[0].name
    shard.write_bytes(shard.read_bytes()[:-600])
    with pytest.raises(DatasetError, match=r"00000\.tar"):
        export_dataset(made, tmp_path / "out", to="tiff")
    assert not (tmp_path / "out").exists()


def test_a_dataset_without_a_cell_and_unknown_words_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    none = {name: getattr(dataset.index, name)[:0] for name in ("bag", "shard", "offset")}
    empty = replace(dataset, index=replace(dataset.index, **none))
    with pytest.raises(DatasetError, match="holds no cell"):
        export_dataset(empty, tmp_path / "out", to="tiff")
    with pytest.raises(RegistryError, match=r"no export format is called 'tif'; .*did you mean 'tiff'"):
        export_dataset(dataset, tmp_path / "out", to="tif")
    with pytest.raises(ConfigError, match=r"per: expected .*cell.*bag"):
        export_dataset(dataset, tmp_path / "out", to="tiff", overrides=["per=well"])
    with pytest.raises(DatasetError, match="no channel 'C'"):
        export_dataset(dataset, tmp_path / "out", to="tiff", channels=("C",))
    assert not (tmp_path / "out").exists()


def test_what_a_dataset_is(dataset: Dataset, tmp_path: Path) -> None:
    assert is_dataset(dataset.root)
    assert is_dataset("https://example.org/data")
    assert not is_dataset(tmp_path)
