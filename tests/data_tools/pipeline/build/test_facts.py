"""A marker says what was written, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_tools.pipeline import ingest
from data_tools.pipeline.build import facts as module
from data_tools.pipeline.build.facts import (
    BagFacts,
    CellCounts,
    Overview,
    Remark,
    ShardFacts,
    StoredShard,
    read_marker,
    write_marker,
)
from data_tools.readers.problem import Problem
from framework.data.format.schema import FileRecord, ShardRecord

WELL = {"source": "P1", "bag_name": "A01"}
FACTS = ShardFacts(
    inputs="abc",
    shard=StoredShard(
        record=ShardRecord(name="shards/shard-000000.tar", bytes=7, blake3="0" * 64, tiles=3),
        block_sums=(5, 6),
        metadata=FileRecord(name="shards/zarr.json", bytes=2, blake3="1" * 64),
    ),
    bags=(
        BagFacts(bag=4, metadata=WELL, n_sites=2, n_cells=8, n_tiles=3),
        BagFacts(bag=5, metadata={**WELL, "bag_name": "A02"}, n_sites=1, n_cells=2, n_tiles=0),
    ),
    problems=(Problem(plate="P1", site=3, reason="blank_image", detail="a.tif: blank"),),
    overviews=(
        Overview(file="qc/a.png", plate="P1", well="A01", site=1, bag=4, channel="DNA", scale=0.1, low=1.5, high=2.0),
    ),
    cells=(CellCounts(plate="P1", well="A01", cells=9, without_position=1, nuclei=8, matched=7),),
    remarks=(Remark(where="P1/A01/1", what="no nucleus"),),
)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A marker of FACTS and the file it speaks for."""
    part = tmp_path / "part.parquet"
    part.write_bytes(b"rows")
    write_marker(tmp_path / "shard.json", FACTS, [part])
    return tmp_path / "shard.json", [part]


def rewrite(marker: Path, parts: list[Path], change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a marker says and seal it again, as another version of the product would."""
    plain = json.loads(marker.read_text())
    del plain["seal"]
    change(plain)
    marker.write_text(json.dumps(plain | {"seal": module._seal(plain, parts)}))


def test_what_was_written_is_read(written: tuple[Path, list[Path]]) -> None:
    marker, parts = written
    assert read_marker(marker, ShardFacts, "abc", parts) == FACTS
    assert FACTS.n_cells == 10
    assert FACTS.bags[1].name == "P1/A02"
    assert FACTS.bags[0].row == {"bag": 4, **WELL, "n_sites": 2, "n_cells": 8, "n_tiles": 3}
    assert FACTS.shard is not None
    assert [item.bytes for item in FACTS.shard.files] == [7, 2]
    empty = replace(FACTS, shard=None, bags=FACTS.bags[1:])
    write_marker(marker, empty, parts)
    assert read_marker(marker, ShardFacts, "abc", parts) == empty


def test_a_marker_of_other_input_or_files_says_nothing(written: tuple[Path, list[Path]]) -> None:
    marker, parts = written
    assert read_marker(marker, ShardFacts, "abd", parts) is None
    parts[0].write_bytes(b"rowz")
    assert read_marker(marker, ShardFacts, "abc", parts) is None
    parts[0].unlink()
    assert read_marker(marker, ShardFacts, "abc", parts) is None


def test_a_damaged_marker_says_nothing(written: tuple[Path, list[Path]]) -> None:
    marker, parts = written
    good = marker.read_text()
    for bad in (good[:-9], good.replace('"n_tiles": 3', '"n_tiles": 4'), "[]", ""):
        marker.write_text(bad)
        assert read_marker(marker, ShardFacts, "abc", parts) is None


def _without_bags(plain: dict[str, Any]) -> None:
    del plain["bags"]


def _text_for_a_number(plain: dict[str, Any]) -> None:
    plain["bags"][0]["n_tiles"] = "3"


def _key_of_another_version(plain: dict[str, Any]) -> None:
    plain["shard"]["crc32c"] = []


def _flat_rows(plain: dict[str, Any]) -> None:
    plain["bags"] = [{**bag.pop("metadata"), **bag} for bag in plain["bags"]]


@pytest.mark.parametrize("change", [_without_bags, _text_for_a_number, _key_of_another_version, _flat_rows])
def test_a_sealed_marker_of_another_form_says_nothing(
    written: tuple[Path, list[Path]], change: Callable[[dict[str, Any]], None]
) -> None:
    marker, parts = written
    rewrite(marker, parts, lambda plain: None)
    assert read_marker(marker, ShardFacts, "abc", parts) == FACTS
    rewrite(marker, parts, change)
    assert read_marker(marker, ShardFacts, "abc", parts) is None


def test_shards_with_markers_of_an_older_form_are_made_again(
    raw: Any, tmp_path: Path, tree: Callable[[Path], Any], stop_before_tables: Callable[..., None]
) -> None:
    out = tmp_path / "data"
    stop_before_tables(raw.config(), out)
    for number in (0, 1):
        marker = out / ".build" / f"shard-{number:06d}.json"
        parts = [marker.with_suffix(f".{what}") for what in ("cells.parquet", "tiles.parquet", "counts.npz")]
        rewrite(marker, parts, _flat_rows)
    summary = ingest(raw.config(), out, workers=0)
    assert (summary.shards, summary.shards_reused) == (2, 0)
    ingest(raw.config(), tmp_path / "other", workers=0)
    assert tree(out) == tree(tmp_path / "other")
