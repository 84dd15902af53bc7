"""The check of words in ``.ci/words.py`` finds what it should, and leaves other English alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("words", ROOT / ".ci" / "words.py")
assert _spec
assert _spec.loader
words = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(words)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bags.parquet (one row a well)", ["one row a well"]),
        ("visited once an epoch, 16 bytes a tile", ["16 bytes a tile", "once an epoch"]),
        ("x\n_TILES_A_STEP = 3", ["_TILES_A_STEP"]),
        ("a row a cell, 98 kB a tile", ["a row a cell", "98 kB a tile"]),
        (
            "One (H, W) image a channel, one sharded Zarr v3 array a shard",
            ["One (H, W) image a channel", "one sharded Zarr v3 array a shard"],
        ),
        ("how many a plate", ["how many a plate"]),
        ("a few of the rows a well has", []),
        ("a stamp does not fit a file", []),
        ("one row per well, once per epoch", []),
        ("the table a config names, 2 files a run writes", []),
        ("'x' is no well, and these are no genes", ["is no well", "are no genes"]),
        ("there is no well; a run that is no longer there is no faster", []),
    ],
)
def test_words_that_are_hard_to_read_are_found(text: str, found: list[str]) -> None:
    assert [match for _, match, _ in words.findings(text)] == found


def test_the_line_is_told() -> None:
    assert words.findings("x\n_TILES_A_STEP = 3")[0][0] == 2


def test_what_to_write_is_told() -> None:
    (rate,), (denied,) = words.findings("one row a well"), words.findings("A is no well")
    assert "per" in rate[2]
    assert "is not a" in denied[2]
