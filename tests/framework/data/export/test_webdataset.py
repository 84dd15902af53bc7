"""Tarballs of single cells, read by stock webdataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import webdataset
from fixtures.tiny_dataset import make_dataset, stored_tiles

from framework.data.export import export_dataset


def samples(folder: Path) -> list[dict[str, Any]]:
    files = [str(file) for file in sorted(folder.glob("*.tar"))]
    return list(webdataset.WebDataset(files, shardshuffle=False).decode())


def test_stock_webdataset_reads_equal_pixels_and_labels(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=3, markers=("CD3",))
    made = export_dataset(dataset, tmp_path / "out", to="webdataset")
    found = samples(tmp_path / "out")
    np.testing.assert_array_equal(np.stack([each["npy"] for each in found]), stored_tiles(dataset))
    table = dataset.tile_table(["bag", "Marker_CD3"])
    for number, each in enumerate(found):
        label = each["json"]
        assert int(each["__key__"]) == label["tile"] == number
        assert label["bag_name"] == f"A{table['bag'][number] + 1:02d}"
        # The fixture leaves every seventh cell without a measurement.
        wanted = None if number % 7 == 6 else table["Marker_CD3"][number]
        assert label["Marker_CD3"] == (None if wanted is None else float(wanted))
    assert (made.files, made.cells, made.bags, made.empty_bags) == (1, 24, 3, 0)


def test_tarballs_are_closed_at_their_size_and_a_seed_mixes_the_bags(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=2, tiles_per_bag=60, size=64)
    # 2 channels x 64 x 64 x 2 bytes + 3 KiB are 19,456 bytes per cell: 53 of them fit 1 MiB.
    words = ["shard_mib=1", "shuffle_seed=4"]
    made = export_dataset(dataset, tmp_path / "out", to="webdataset", overrides=words)
    assert made.files == 3
    assert [len(samples_of(file)) for file in sorted((tmp_path / "out").glob("*.tar"))] == [53, 53, 14]
    found = samples(tmp_path / "out")
    order = [each["json"]["tile"] for each in found]
    assert sorted(order) == list(range(120))
    assert order != sorted(order)
    np.testing.assert_array_equal(np.stack([each["npy"] for each in found]), stored_tiles(dataset)[order])
    again = export_dataset(dataset, tmp_path / "again", to="webdataset", overrides=words)
    for file in sorted((tmp_path / "out").iterdir()):
        assert file.read_bytes() == (again.folder / file.name).read_bytes(), "equal datasets, equal tarballs"


def samples_of(file: Path) -> list[dict[str, Any]]:
    return list(webdataset.WebDataset([str(file)], shardshuffle=False).decode())
