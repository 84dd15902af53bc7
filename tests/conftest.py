"""Fixtures every test may use, and the accounting of real data that was not there."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# No test is timed: a first example may compile, and machines are busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Loaded libraries are a million objects, which the collector would look through again and again: an eighth of the time.
gc.set_threshold(20_000, 20, 100)

# A shell without job control starts jobs in the background with Ctrl-C ignored, and all their processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Let all compute on the CPU, whose bits the tests compare; those of a GPU are asked for with ``-m gpu``."""
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _real_data_folder() -> Path:
    return Path(os.environ.get("WELLSTREAM_TEST_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real exports, or a skip that says what is missing."""
    folder = _real_data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set WELLSTREAM_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    """What a test left ignored, every process that a later test starts would ignore too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)
