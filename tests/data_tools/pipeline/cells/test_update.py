"""A dataset of cells gets other labels and measurements: what an ingest with the new tables makes, the same pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.pipeline import CellsIngestConfig, ingest, update
from data_tools.pipeline.build import attempt
from framework.data.dataset import Dataset
from framework.data.format.schema import read_manifest
from framework.data.verify import verify_dataset
from framework.errors import DatasetError, InputError

TOLD = ("dataset.json", "qc/index.json")
"""Files that tell of history."""
PROTEINS = ("AAC1", "AAH1")
Tree = Callable[[Path], dict[str, str]]


def rows_of(changes: dict[tuple[str, int], tuple[str, str]]) -> str:
    """A table with the phase and the size of each cell."""
    lines = ["protein,cell,phase,size"]
    for protein in PROTEINS:
        for cell in range(6):
            phase, size = changes.get((protein, cell), ("G1" if cell % 2 else "S", str(cell + 0.5)))
            lines.append(f"{protein},{cell},{phase},{size}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Any]:
    """Twelve cells of two proteins with a table; ``plain`` is the config, in which the table adds nothing yet."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for protein in PROTEINS:
        for cell in range(6):
            rng = np.random.default_rng([len(protein), ord(protein[-2]), cell])
            tifffile.imwrite(folder / f"{protein}_{cell}_gfp.tif", rng.integers(0, 4096, (8, 8), dtype=np.uint16))
    table = tmp_path / "cells.csv"
    table.write_text(rows_of({}))
    reader = {"name": "crops", "path": str(folder), "pattern": r"(?P<protein>\w+)_(?P<cell>\d+)_(?P<channel>gfp)\.tif"}
    plain = {
        "kind": "cells",
        "name": "tiny",
        "sources": [{"name": "SCREEN", "reader": reader}],
        "channels": ["gfp"],
        "tiles": {"size_px": 8},
        "bags": {"by": ["Metadata_Protein"]},
        "shards": {"bags_per_shard": 1, "chunk_tiles": 2},
    }
    return {"plain": plain, "table": table, "folder": folder}


def config(world: dict[str, Any], labels: dict[str, str] | None, **changes: Any) -> CellsIngestConfig:
    plain = {**world["plain"], **changes}
    if labels is not None:
        by = {"Metadata_Protein": "protein", "Metadata_Cell": "cell"}
        table = {
            "table": {"name": "csv", "path": str(world["table"])},
            "by": by,
            "labels": labels,
            "measurements": ["size"],
        }
        plain["sources"] = [{**plain["sources"][0], "tables": [table]}]
        plain["markers"] = changes.get("markers", {"size": "size"})
    return CellsIngestConfig.from_plain(plain)


PHASE = {"Metadata_Phase": "phase"}


def test_added_labels_and_measurements_are_those_of_an_ingest(
    world: dict[str, Any], tmp_path: Path, tree: Tree
) -> None:
    ingest(config(world, None), tmp_path / "data", workers=0)
    before = tree(tmp_path / "data")
    done = update(config(world, PHASE), tmp_path / "data")
    assert (done.state, done.changed, done.markers) == ("updated", ("markers.size", "sources.0.tables"), ("size",))
    assert (done.bags_changed, done.tiles_changed, done.shards_untouched) == (0, 12, 2)
    ingest(config(world, PHASE), tmp_path / "fresh", workers=0)
    one, other = tree(tmp_path / "data"), tree(tmp_path / "fresh")
    assert {name: digest for name, digest in one.items() if name not in TOLD} == {
        name: digest for name, digest in other.items() if name not in TOLD
    }
    kept = [name for name in before if name.startswith("shards/") or name in ("cells.parquet", "checksums.json")]
    assert {name: one[name] for name in kept} == {name: before[name] for name in kept}
    mine, theirs = read_manifest(tmp_path / "data"), read_manifest(tmp_path / "fresh")
    assert mine.notes == theirs.notes
    assert mine.history[0].changed == done.changed
    verify_dataset(tmp_path / "data")


def test_a_corrected_table_changes_its_cells_alone(world: dict[str, Any], tmp_path: Path) -> None:
    ingest(config(world, PHASE), tmp_path / "data", workers=0)
    old = Dataset.open(tmp_path / "data").tile_table()
    world["table"].write_text(rows_of({("AAH1", 3): ("G2", "9.25")}))
    done = update(config(world, PHASE), tmp_path / "data")
    assert (done.state, done.changed, done.bags_changed, done.tiles_changed) == ("updated", (), 0, 1)
    new = Dataset.open(tmp_path / "data").tile_table()
    shown = ["Metadata_Phase", "Marker_size"]
    differs = (old[shown] != new[shown]).any(axis=1)
    (row,) = new[differs].to_dict("records")
    assert (row["bag"], row["Metadata_Cell"], row["Metadata_Phase"], row["Marker_size"]) == (1, "3", "G2", 9.25)
    assert update(config(world, PHASE), tmp_path / "data").state == "nothing_to_do"
    assert ingest(config(world, PHASE), tmp_path / "data", workers=0).state == "already_complete"


def test_a_label_that_all_cells_of_a_bag_share_belongs_to_the_bag(world: dict[str, Any], tmp_path: Path) -> None:
    alike = {(protein, cell): ("M" if protein == "AAC1" else "G0", "1") for protein in PROTEINS for cell in range(6)}
    ingest(config(world, PHASE), tmp_path / "data", workers=0)
    world["table"].write_text(rows_of(alike))
    done = update(config(world, PHASE), tmp_path / "data")
    assert done.bags_changed == 2
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.bags["Metadata_Phase"].tolist() == ["M", "G0"]
    assert dataset.tile_labels() == ["Metadata_Cell"]


def test_cells_that_would_move_are_refused_and_the_dataset_stays(
    world: dict[str, Any], tmp_path: Path, tree: Tree
) -> None:
    by = {"by": ["Metadata_Protein", "Metadata_Phase"]}
    ingest(config(world, PHASE, bags=by), tmp_path / "data", workers=0)
    before = tree(tmp_path / "data")
    for changes, said in (
        ({("AAC1", 0): ("G2", "1")}, "bag 'SCREEN/AAC1/G2' would be new"),
        ({("AAC1", 0): ("G1", "1")}, "bag 'SCREEN/AAC1/G1' would have 4 cells with these tables, but has 3"),
        (
            {("AAC1", 0): ("G1", "1"), ("AAC1", 1): ("S", "1")},
            r"cell '[01]' of bag [01] has a tile, but with these tables it is no longer in",
        ),
    ):
        world["table"].write_text(rows_of(changes))
        with pytest.raises(InputError, match=said):
            update(config(world, PHASE, bags=by), tmp_path / "data")
        assert tree(tmp_path / "data") == before


def test_bags_that_would_get_tiles_are_refused(world: dict[str, Any], tmp_path: Path) -> None:
    bags = {"by": ["Metadata_Protein"], "count_by": ["Metadata_Phase"], "min_cells": 3}
    world["table"].write_text(rows_of({("AAC1", 0): ("M", "1"), ("AAC1", 2): ("M", "1")}))
    ingest(config(world, PHASE, bags=bags), tmp_path / "data", workers=0)
    world["table"].write_text(rows_of({}))
    with pytest.raises(InputError, match=r"bag 'SCREEN/AAC1' would have 0 cells under 'bags.min_cells' .* but has 2"):
        update(config(world, PHASE, bags=bags), tmp_path / "data")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tiles": {"size_px": 16, "fit": "pad"}}, r"tiles\.fit, tiles\.size_px differ from the dataset"),
        ({"keep": {"size": {"min": 1}}}, r"keep\.size differs from the dataset, and the pixels depend on it"),
    ],
)
def test_keys_of_pixels_are_refused_by_name(
    world: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    ingest(config(world, PHASE), tmp_path / "data", workers=0)
    with pytest.raises(DatasetError, match=said):
        update(config(world, PHASE, **changes), tmp_path / "data")


def test_an_unfinished_build_goes_on_with_other_labels(
    world: dict[str, Any], tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            ingest(config(world, None), tmp_path / "data", workers=0)
    done = ingest(config(world, PHASE), tmp_path / "data", workers=0)
    assert any("went on with another markers.size, sources.0.tables" in note for note in done.notes)
    ingest(config(world, PHASE), tmp_path / "fresh", workers=0)
    assert tree(tmp_path / "data") == tree(tmp_path / "fresh")
