"""A finished dataset gets other tables: what an ingest with the new config would have made, and the same pixels."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.raw_tables import omics_of, with_cells

from data_tools.pipeline import ingest, update
from data_tools.pipeline.build import staged
from framework.data.dataset import Dataset
from framework.data.format.schema import read_manifest
from framework.data.verify import verify_dataset
from framework.errors import DatasetError, InputError

TOLD = ("dataset.json", "qc/index.json")
"""Files that tell of notes and of history, which an update and an ingest have in another order."""

Tree = Callable[[Path], dict[str, str]]


@pytest.fixture
def out(raw: Any, tmp_path: Path) -> Path:
    ingest(raw.config(), tmp_path / "data", workers=0)
    return tmp_path / "data"


def corrected(raw: Any, old: str, new: str) -> None:
    raw.platemap.write_text(raw.platemap.read_text().replace(old, new))


def test_new_tables_are_those_of_a_new_ingest_and_shards_stay(raw: Any, tmp_path: Path, out: Path, tree: Tree) -> None:
    before = tree(out)
    config = raw.config(omics=omics_of(tmp_path / "rna.csv"), **with_cells(raw))
    raw.image("P1", "A01", 1, "DNA").unlink()  # the export is not needed
    done = update(config, out)
    after = tree(out)
    assert (done.state, done.targets, done.markers) == ("updated", ("rna_M1", "rna_M2"), ("m",))
    assert done.changed == ("omics", "plates.0.cells")
    shards = {name for name in before if name.startswith("shards/")}
    assert {name: after[name] for name in (*shards, "cells.parquet", "checksums.json")} == {
        name: before[name] for name in (*shards, "cells.parquet", "checksums.json")
    }
    verify_dataset(out)


def test_the_result_is_that_of_an_ingest(raw: Any, tmp_path: Path, out: Path, tree: Tree) -> None:
    config = raw.config(omics=omics_of(tmp_path / "rna.csv"), **with_cells(raw))
    update(config, out)
    ingest(config, tmp_path / "fresh", workers=0)
    one, other = tree(out), tree(tmp_path / "fresh")
    assert {name: sum_ for name, sum_ in one.items() if name not in TOLD} == {
        name: sum_ for name, sum_ in other.items() if name not in TOLD
    }
    mine, theirs = read_manifest(out), read_manifest(tmp_path / "fresh")
    assert set(mine.notes) == set(theirs.notes)
    assert mine.model_copy(update={"notes": (), "history": (), "digest": None, "files": ()}) == theirs.model_copy(
        update={"notes": (), "digest": None, "files": ()}
    )
    assert np.isfinite(Dataset.open(out).markers(("m",))).all()


def test_a_corrected_plate_map_changes_labels_alone(raw: Any, out: Path, tree: Tree) -> None:
    before = tree(out)
    corrected(raw, "A02,gene1", "A02,gene7")
    done = update(raw.config(), out)
    assert (done.state, done.changed, done.bags_changed) == ("updated", (), 1)
    bags = Dataset.open(out).bags.set_index("Metadata_Well")
    assert bags.Metadata_Perturbation["A02"] == "gene7"
    assert {name for name, sum_ in tree(out).items() if sum_ != before[name]} == {
        "bags.parquet",
        "dataset.json",
        "qc/index.json",
    } - ({"qc/index.json"} if tree(out)["qc/index.json"] == before["qc/index.json"] else set())
    assert ingest(raw.config(), out, workers=0).state == "already_complete"


def test_what_was_done_is_kept(raw: Any, tmp_path: Path, out: Path) -> None:
    first = read_manifest(out)
    assert "history" not in (out / "dataset.json").read_text()
    update(raw.config(omics=omics_of(tmp_path / "rna.csv")), out)
    update(raw.config(), out)
    now = read_manifest(out)
    assert [change.changed for change in now.history] == [("omics",), ("omics",)]
    assert now.history[0].digest == first.digest
    assert now.history[0].before == {"omics": ()}
    assert now.history[1].before["omics"][0]["name"] == "rna"
    assert "targets/rna_M1.h5ad" in now.history[1].remade
    assert now.targets == ()
    assert not list(out.glob("targets/*.h5ad"))


def test_what_was_said_of_a_table_goes_with_it(raw: Any, tmp_path: Path, out: Path) -> None:
    first = read_manifest(out).notes
    table = omics_of(tmp_path / "rna.csv")
    flat = pd.read_csv(tmp_path / "rna.csv").assign(flat=7)
    flat.to_csv(tmp_path / "rna.csv", index=False)
    update(raw.config(omics=table), out)
    said = [note for note in read_manifest(out).notes if note.startswith("target 'rna_M1': ")]
    assert any("1 genes have one count in all samples" in note for note in said)
    update(raw.config(), out)
    assert read_manifest(out).notes == first


def test_nothing_to_do_writes_nothing(raw: Any, out: Path, tree: Tree) -> None:
    before = tree(out)
    assert update(raw.config(), out).state == "nothing_to_do"
    assert tree(out) == before


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"tiles": {"size_px": 20}}, "tiles.size_px differs"),
        ({"nuclei": {"channel": "DNA", "diameter_px": 12}, "seed": 4}, "nuclei.diameter_px, seed differ"),
        ({"channels": ["Actin"]}, "channels differs"),
        ({"illumination": {"method": "none"}}, "illumination.kernel_px, illumination.method"),
    ],
)
def test_keys_of_pixels_are_refused_by_name(
    raw: Any, out: Path, tree: Tree, changes: dict[str, Any], keys: str
) -> None:
    before = tree(out)
    with pytest.raises(DatasetError, match=re.escape(keys)):
        update(raw.config(**changes), out)
    assert tree(out) == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("A02,gene1,M2,treatment,1\n", "", "plate P1 well A02 has images, but the plate map has no row for it"),
        ("A02,gene1,M2,treatment", "A02,gene1,M2,empty", "was read, and the map calls it 'empty' now"),
        ("A10,gene0,M1,empty", "A10,gene0,M1,treatment", "was 'empty' and not read"),
    ],
)
def test_a_plate_map_that_changes_which_wells_there_are_is_refused(
    raw: Any, out: Path, tree: Tree, old: str, new: str, told: str
) -> None:
    before = tree(out)
    corrected(raw, old, new)
    with pytest.raises(InputError, match=re.escape(told)):
        update(raw.config(), out)
    assert tree(out) == before


@pytest.mark.parametrize("name", ["bags.parquet", "rna_M2.h5ad", "dataset.json"])
def test_an_update_that_finds_no_room_leaves_the_dataset_as_it_was(
    raw: Any, tmp_path: Path, out: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config, before = raw.config(omics=omics_of(tmp_path / "rna.csv")), tree(out)

    def full(source: Path, target: Path, original: Any = os.replace) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DatasetError, match="the disk is full"):
            update(config, out)
    assert tree(out) == before
    assert not (out / ".update").exists()
    assert update(config, out).state == "updated"


def test_an_update_that_was_stopped_goes_on(
    raw: Any, tmp_path: Path, out: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = raw.config(omics=omics_of(tmp_path / "rna.csv"))
    before, calls = tree(out), []

    def stop(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        source.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(staged, "_move", stop)
        with pytest.raises(KeyboardInterrupt):
            update(config, out)
    assert tree(out) != before
    assert update(config, out).state == "nothing_to_do"
    assert Dataset.open(out).manifest.targets == ("rna_M1", "rna_M2")
    assert not (out / ".update").exists()


def test_an_unfinished_build_goes_on_with_other_labels_and_says_so(
    raw: Any, tmp_path: Path, tree: Tree, stop_before_tables: Callable[..., None]
) -> None:
    stop_before_tables(raw.config(), tmp_path / "data")
    entry = {**raw.plain["plates"][0], "platemap": {**raw.plain["plates"][0]["platemap"], "partial": True}}
    config = raw.config(plates=[entry], on_error="skip")
    made = ingest(config, tmp_path / "data", workers=0)
    assert made.shards_reused == made.shards
    assert "the unfinished build went on with another on_error, plates.0.platemap.partial" in made.notes[-1]
    ingest(config, tmp_path / "fresh", workers=0)
    assert tree(tmp_path / "data") == tree(tmp_path / "fresh")


def test_an_unfinished_build_with_cells_added_makes_its_shards_again(
    raw: Any, tmp_path: Path, tree: Tree, stop_before_tables: Callable[..., None]
) -> None:
    stop_before_tables(raw.config(), tmp_path / "data")
    config = raw.config(**with_cells(raw))
    assert ingest(config, tmp_path / "data", workers=0).shards_reused == 0
    ingest(config, tmp_path / "fresh", workers=0)
    assert tree(tmp_path / "data") == tree(tmp_path / "fresh")


def test_an_unfinished_build_refuses_keys_of_pixels_by_name(
    raw: Any, tmp_path: Path, stop_before_tables: Callable[..., None]
) -> None:
    stop_before_tables(raw.config(on_error="skip"), tmp_path / "data")
    with pytest.raises(
        DatasetError, match=r"unfinished ingest of another config; it differs in on_error, tiles.size_px"
    ):
        ingest(raw.config(tiles={"size_px": 20}), tmp_path / "data", workers=0)
