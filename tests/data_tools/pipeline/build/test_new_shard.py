"""What a task hands over bag by bag stands in the shard and in its parts of the tables, row for row."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_tools.pipeline.build.config import IngestBase
from data_tools.pipeline.build.new_shard import BagCells, new_shard
from data_tools.pipeline.build.shard_file import ShardFiles, known_facts
from data_tools.readers.problem import Problem
from data_tools.shards import random_order

CONFIG = IngestBase.from_plain(
    {"name": "t", "channels": ["c"], "tiles": {"size_px": 8}, "shards": {"chunk_tiles": 2}, "seed": 5}
)


def bag(number: int, well: str, status: list[str]) -> BagCells:
    n = len(status)
    names = np.array([f"{well}-{row}" for row in range(n)], dtype=object)
    return BagCells(
        bag=number,
        metadata={
            "source": "P",
            "bag_name": well,
            "Metadata_Perturbation": "x",
            "Metadata_Stimulation": "y",
        },
        key=f"P_{well}",
        n_sites=1,
        site=np.arange(n, dtype=np.int16),
        y_px=np.where(np.arange(n) == 0, np.nan, 10.5).astype(np.float32),
        x_px=np.arange(n, dtype=np.float32),
        score=np.full(n, 2, np.float32),
        status=np.array(status, dtype=object),
        markers=np.arange(n, dtype=np.float32)[:, None] * 100,
        labels={"Metadata_Cell": names},
        in_samples={"cell": names},
    )


def pixels(number: int, places: np.ndarray) -> np.ndarray:
    """Tile ``place`` of a bag is filled with 1000 * bag + place."""
    return np.repeat(1000 * number + places, 64).reshape(-1, 1, 8, 8).astype("<u2")


def test_tiles_and_rows_are_in_one_seeded_order(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    files = ShardFiles(index=0, root=tmp_path, parts=tmp_path / "parts", shards=CONFIG.shards)
    bags = [
        bag(7, "A01", ["border", "tile", "tile", "border", "tile"]),
        bag(8, "A02", ["few"]),
        bag(9, "A03", ["tile"]),
    ]
    with new_shard(files, CONFIG, ("M",), ("Metadata_Cell",)) as shard:
        for cells in bags:
            pieces = shard.order(cells)
            assert [len(piece) for piece in pieces] == {7: [1, 1, 1], 8: [], 9: [1]}[cells.bag]
            shard.add(cells, pieces, [pixels(cells.bag, places) for places in pieces])
    problem = Problem(plate="P", reason="r", detail="d")
    facts = shard.finish(files, "digest", problems=[problem])
    assert known_facts(files, "digest") == facts
    assert [(item.bag, item.n_cells, item.n_tiles) for item in facts.bags] == [(7, 5, 3), (8, 1, 0), (9, 1, 1)]
    assert facts.problems == (problem,)
    assert facts.shard is not None
    assert facts.shard.record.tiles == 4

    order = random_order(3, 5, "tiles", "P", "A01")
    assert order.tolist() != [0, 1, 2], "the seed leaves this order as it is: the test would see nothing"
    rows = np.array([1, 2, 4])[order]
    table = pd.read_parquet(files.part("tiles.parquet"))
    assert table["bag"].tolist() == [7, 7, 7, 9]
    assert table["cell"].tolist() == [*rows.tolist(), 6], "counted from the first cell of the shard"
    assert table["site"].tolist() == [*rows.tolist(), 0]
    assert table["Marker_M"].tolist() == [*(100.0 * rows).tolist(), 0.0]
    assert table["Metadata_Cell"].tolist() == [*(f"A01-{row}" for row in rows), "A03-0"]
    raw = files.file.read_bytes()
    values = [int.from_bytes(raw[at : at + 2], "little") for at in table["offset"]]
    assert values == [*(7000 + order).tolist(), 9000]
    assert table["nbytes"].tolist() == [128] * 4
    nuclei = pd.read_parquet(files.part("cells.parquet"))
    assert nuclei["status"].tolist() == ["border", "tile", "tile", "border", "tile", "few", "tile"]
    assert nuclei["bag"].tolist() == [7] * 5 + [8, 9]


def test_pieces_fill_a_sample_and_lie_in_one(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    # 350 tiles of 256 px in samples of 300; a piece holds half a MiB, which is four tiles of 128 KiB.
    config = IngestBase.from_plain(
        {"name": "t", "channels": ["c"], "tiles": {"size_px": 256}, "shards": {"chunk_tiles": 300}}
    )
    files = ShardFiles(index=0, root=tmp_path, parts=tmp_path / "parts", shards=config.shards)
    with new_shard(files, config, ("M",)) as shard:
        sizes = [len(piece) for piece in shard.order(bag(7, "A01", ["tile"] * 350))]
    assert sizes == [1, *[4] * 74, 3, 1, *[4] * 12, 1]


def test_a_bag_that_gives_fewer_tiles_than_it_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    files = ShardFiles(index=0, root=tmp_path, parts=tmp_path / "parts", shards=CONFIG.shards)
    cells = bag(9, "A03", ["tile", "tile"])
    with pytest.raises(ValueError, match="1 tiles came, 2 were announced"), new_shard(files, CONFIG, ("M",)) as shard:
        shard.add(cells, shard.order(cells), [pixels(9, np.array([0]))])


def test_a_sample_names_its_cells_and_has_no_nan(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    files = ShardFiles(index=0, root=tmp_path, parts=tmp_path / "parts", shards=CONFIG.shards)
    with new_shard(files, CONFIG, ("M",), ("Metadata_Cell",)) as shard:
        cells = bag(9, "A03", ["tile"])
        shard.add(cells, shard.order(cells), [pixels(9, np.array([0]))])
    with tarfile.open(files.file) as archive:
        member: Any = archive.extractfile("P_A03_00000.json")
        told = json.loads(member.read())
    assert told == {
        "bag": 9,
        "source": "P",
        "name": "A03",
        "perturbation": "x",
        "stimulation": "y",
        "channels": ["c"],
        "first_tile": 0,
        "n": 1,
        "site": [0],
        "y_px": [None],
        "x_px": [0.0],
        "cell": ["A03-0"],
    }
