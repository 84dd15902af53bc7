"""``init`` knows every export, and what it writes runs as it is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

import wellstream as ws
from data_tools.simulate import PlateConfig, simulate_plate
from data_tools.simulate.layouts import LAYOUTS
from framework.errors import InputError

PLATE = {
    "rows": 2, "columns": 4, "perturbations": 3, "stimulations": ("M1",), "replicates": 1, "sites": 2, "size_px": 200,
    "cells_per_site": 20, "nucleus_diameter_px": 13, "transcripts": 2, "proteins": 2, "out_of_focus_wells": 0,
}  # fmt: skip


def simulated(folder: Path, layout: str = "harmony") -> Path:
    simulate_plate(PlateConfig(**PLATE, layout=layout), folder)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_runs_on_every_layout(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    simulated(tmp_path / "raw", layout)
    made = ws.init("raw/SIM")
    assert (made.reader, made.plates, made.wells, made.fields) == (layout, ("SIM",), 4, 8)
    assert (made.channels, made.nuclei, made.pixel_size_um) == (
        ("Hoechst", "MitoTracker", "Phalloidin"), "Hoechst", 0.6)  # fmt: skip
    assert made.diameter_px == pytest.approx(13, rel=0.2)
    assert made.written == ("SIM/ingest.yaml", "SIM/train.yaml", "SIM/platemap.csv")
    built = ws.ingest("SIM/ingest.yaml", "SIM/dataset", workers=0)
    assert built.tiles > 40
    if layout == "harmony":
        run = ws.fit("SIM/train.yaml", overrides=["train.steps=1", "train.save_every=1"])
        assert run.embed().shape[0] == built.tiles
    with pytest.raises(InputError, match=r"SIM/ingest.yaml: exists already and is not overwritten"):
        ws.init("raw/SIM")


def test_nothing_is_written_among_the_images_of_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").mkdir()
    for cell in range(12):
        tifffile.imwrite(f"cells/run_{cell}.tif", np.full((3, 20, 20), cell, np.uint16), photometric="minisblack")
    before = sorted(Path("cells").iterdir())
    made = ws.init("cells")
    assert made.written == ("cells_wellstream/ingest.yaml", "cells_wellstream/train.yaml")
    assert sorted(Path("cells").iterdir()) == before
    with pytest.raises(InputError, match=r"cells_wellstream/ingest.yaml: exists already"):
        ws.init("cells")


def test_a_plate_map_and_an_omics_table_go_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    simulated(tmp_path / "raw")
    lines = (tmp_path / "raw" / "platemap.csv").read_text().splitlines()
    names = ["well_position", "compound", "cytokine", "control"]
    theirs = lines[0].split(",")
    keep = [theirs.index(f"Metadata_{name}") for name in ("Well", "Perturbation", "Stimulation", "Control_Type")]
    rows = [",".join(line.split(",")[place] for place in keep) for line in lines[1:]]
    (tmp_path / "map.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    made = ws.init("raw/SIM", "p", platemap="map.csv", omics="raw/omics/transcripts.csv.gz")
    assert made.conditions == 3, "of the fourth well, which is empty, nothing is learned"
    assert not Path("p/heads.yaml").exists()
    assert "raw/omics/transcripts.csv.gz: whole numbers: taken for counts" in made.notes
    assert "too few wells per condition to learn genes from images: no heads.yaml is written" in made.notes
    built = ws.ingest("p/ingest.yaml", "p/dataset", workers=0)
    assert built.targets == ("transcripts_M1",)  # type: ignore[union-attr]
    assert len(set(ws.Dataset("p/dataset").bags.Metadata_Perturbation)) == 4


def test_a_folder_that_nobody_knows_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    tifffile.imwrite(tmp_path / "x" / "scan_1.tif", np.zeros((8, 8), np.uint16))
    (tmp_path / "x" / "readme.txt").write_text("hello")
    with pytest.raises(InputError) as refused:
        ws.init(tmp_path / "x", tmp_path / "out")
    told = str(refused.value)
    assert "no reader knows this export; it holds 1 .tif, 1 .txt" in told
    assert "filenames: no part of the names is a well; an example is scan_1.tif" in told
    assert "harmony: no image has a name like r01c01f01p01-ch1sk1fk1fl1.tiff" in told
    assert not (tmp_path / "out").exists()
    (tmp_path / "x" / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="is a finished dataset, not an export of a microscope"):
        ws.init(tmp_path / "x", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "then"),
    [
        ("a.JPG", "export TIFFs, which keep the counts of the camera"),
        ("Experiment-7.czi", "converted first: to an OME-Zarr plate with bioformats2raw, or to TIFFs"),
        ("plate.tar.gz", "archives are not opened: unpack them and name the folder"),
    ],
)
def test_files_that_no_reader_takes_are_told_with_what_to_do_first(tmp_path: Path, name: str, then: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"no reader knows this export; it holds 1 (?s:.*){then}"):
        ws.init(tmp_path, tmp_path / "out")


def test_an_ambiguous_folder_is_refused_until_a_reader_is_chosen(tmp_path: Path) -> None:
    raw = simulated(tmp_path / "raw", "gallery")
    (raw / "SIM" / "Images").mkdir(exist_ok=True)
    other = simulated(tmp_path / "other", "harmony")
    for file in (other / "SIM" / "Images").iterdir():
        file.rename(raw / "SIM" / "Images" / file.name)
    with pytest.raises(
        InputError, match=r"(?s)several readers know this export equally well\n  gallery: .*\n  harmony: "
    ):
        ws.init(raw / "SIM", tmp_path / "out")
    assert ws.init(raw / "SIM", tmp_path / "out", reader="gallery").reader == "gallery"
    with pytest.raises(InputError, match=r"no reader is called 'harmonny'.*did you mean 'harmony'"):
        ws.init(raw / "SIM", tmp_path / "more", reader="harmonny")


def test_two_measurements_are_two_plates(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    for name in ("day 1", "day 2"):
        (simulated(tmp_path / name) / "SIM").rename(tmp_path / "both" / name)
    made = ws.init(tmp_path / "both", tmp_path / "out")
    assert (made.plates, made.wells) == (("day 1", "day 2"), 8)
    assert ws.ingest(tmp_path / "out" / "ingest.yaml", tmp_path / "data", workers=0, dry_run=True).wells == 8  # type: ignore[union-attr]


def test_two_plates_of_an_imagexpress_are_two_plates_and_one_that_is_damaged_is_said(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        simulated(tmp_path / name, "imagexpress")
        (tmp_path / "screen").mkdir(exist_ok=True)
        (tmp_path / name / "SIM").rename(tmp_path / "screen" / name)
    made = ws.init(tmp_path / "screen", tmp_path / "out")
    assert len(made.plates) == len(set(made.plates)) == 3
    assert made.wells == 12
    built = ws.ingest(tmp_path / "out" / "ingest.yaml", tmp_path / "data", workers=0)
    assert built.tiles > 120
    htd = next((tmp_path / "screen" / "two").rglob("*.HTD"))
    htd.write_text("no list of wells\n")
    made = ws.init(tmp_path / "screen", tmp_path / "again")
    assert len(made.plates) == 2
    told = [note for note in made.notes if note.startswith("a part of the export cannot be read and is left out: ")]
    assert len(told) == 1
    assert htd.name in told[0]


def test_a_layout_of_harmony_with_a_layer_of_compounds_is_a_plate_map(tmp_path: Path) -> None:
    raw = simulated(tmp_path / "raw")
    layout = tmp_path / "layout.xml"
    blank = "<Well><Row>1</Row><Col>1</Col><Value /></Well>"
    layout.write_text(f"<AssayLayout><Layer><Name>Compound</Name>{blank}</Layer></AssayLayout>")
    with pytest.raises(
        InputError, match=r"layout\.xml: 'Compound' has no value in any well; write there what was given"
    ):
        ws.init(raw / "SIM", tmp_path / "out", platemap=layout)
    given = ("0042", "0042", "DMSO", "", "7", "DMSO", "0042", "")
    wells = [(row, col, given[4 * row + col - 5]) for row in (1, 2) for col in (1, 2, 3, 4)]
    cells = "".join(f"<Well><Row>{row}</Row><Col>{col}</Col><Value>{text}</Value></Well>" for row, col, text in wells)
    layout.write_text(f"<AssayLayout><Layer><Name>Compound</Name>{cells}</Layer></AssayLayout>")
    made = ws.init(raw / "SIM", tmp_path / "out", platemap=layout)
    assert "Metadata_Perturbation is their column 'Compound'" in made.notes
    ws.ingest(tmp_path / "out" / "ingest.yaml", tmp_path / "data", workers=0)
    bags = ws.Dataset(tmp_path / "data").bags.set_index("Metadata_Well")
    told = {f"{'AB'[row - 1]}{col:02d}": text for row, col, text in wells}
    found = {well: (row["Metadata_Perturbation"], row["Metadata_Control_Type"]) for well, row in bags.iterrows()}
    assert found == {well: (told[well], "treatment" if told[well] else "empty") for well in bags.index}
    assert len(found) == 4


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("place", "reader", "wells"),
    [
        ("phenix-4i-round1", "harmony", 3),
        ("imagexpress-yokogawa/ImageXpress_exported/9987_Plate_3434", "imagexpress", 2),
        ("imagexpress-yokogawa/ImageXpress_exported/9987_Plate_3435", "imagexpress", 2),
        ("imagexpress-yokogawa/ImageXpress_exported/9987_Plate_3420", "imagexpress", 1),
        ("nf1-genotype-plate/Plate_2_images", "filenames", 5),
        ("public-files/CellProfiler+examples/ExampleVitraImages", "filenames", 1),
        ("public-files/leukemia-kispi+operetta-compose/tests/operetta_plate", "harmony", 1),
        ("public-files/broadinstitute+pe2loaddata/tests/data/Version1", "harmony", 1),
    ],
)
def test_real_exports_run_as_written(real_data: Path, tmp_path: Path, place: str, reader: str, wells: int) -> None:
    made = ws.init(real_data / place, tmp_path / "p")
    assert (made.reader, made.wells) == (reader, wells)
    assert ws.ingest(tmp_path / "p" / "ingest.yaml", tmp_path / "p" / "dataset", workers=0).tiles > 0


@pytest.mark.real_data
def test_real_cells_run_as_written(real_data: Path, tmp_path: Path) -> None:
    made = ws.init(real_data / "ifc-ciliated", tmp_path / "p")
    assert (made.reader, made.cells) == ("ideas", 154)
    assert ws.ingest(tmp_path / "p" / "ingest.yaml", tmp_path / "p" / "dataset", workers=0).tiles == 154


@pytest.mark.real_data
def test_nuclei_of_13_px_and_of_60_px_are_found_so(real_data: Path, tmp_path: Path) -> None:
    small = ws.init(
        real_data / "phenix-4i-round1", tmp_path / "a", platemap=real_data / "phenix-4i-round1/platemap.csv"
    )
    large = ws.init(
        real_data / "nf1-genotype-plate/Plate_2_images",
        tmp_path / "b",
        platemap=real_data / "nf1-genotype-plate/platemap_NF1_plate2.csv",
    )
    assert small.diameter_px == pytest.approx(13, rel=0.25)
    assert large.diameter_px == pytest.approx(60, rel=0.2)
    text = (tmp_path / "b" / "ingest.yaml").read_text()
    assert re.search(r"platemap: .*Metadata_Well: well_position, Metadata_Perturbation: genotype.*partial: true", text)
