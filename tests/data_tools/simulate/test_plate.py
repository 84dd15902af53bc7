from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops_table

from data_tools.simulate import PlateConfig, PlateSummary, simulate_plate
from framework.errors import InputError

SMALL = PlateConfig(
    plate="T",
    n_plates=2,
    rows=3,
    columns=5,
    perturbations=3,
    sites=2,
    size_px=96,
    cells_per_site=6,
    nucleus_diameter_px=12,
    transcripts=20,
    proteins=10,
    omics_replicates=2,
)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PlateSummary:
    return simulate_plate(SMALL, tmp_path_factory.mktemp("sim") / "out", threads=1)


def test_layout_of_the_folder(small: PlateSummary) -> None:
    names = set(_digests(small.out))
    assert {
        "simulate.yaml",
        "platemap.csv",
        "truth.parquet",
        "truth_nuclei.parquet",
        "truth_wells.parquet",
        "omics/transcripts.csv.gz",
        "omics/proteins.csv.gz",
        "T-01/Images/Index.idx.xml",
        "T-02/Images/Index.idx.xml",
    } <= names
    assert sum(name.endswith(".tiff") for name in names) == small.n_images == 2 * 13 * 2 * 3


def test_same_bytes_at_any_number_of_threads(small: PlateSummary, tmp_path: Path) -> None:
    again = simulate_plate(SMALL, tmp_path / "elsewhere", threads=3)
    assert _digests(again.out) == _digests(small.out)


def test_another_seed_gives_other_images_and_genes(small: PlateSummary, tmp_path: Path) -> None:
    other = _digests(simulate_plate(SMALL.model_copy(update={"seed": 1}), tmp_path / "x").out)
    first = _digests(small.out)
    same = {name for name in first if first[name] == other.get(name)}
    assert same == set()


def test_platemap_names_every_imaged_well_once(small: PlateSummary) -> None:
    platemap = pd.read_csv(small.out / "platemap.csv")
    assert platemap.columns.tolist() == [
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Perturbation",
        "Metadata_Stimulation",
        "Metadata_Control_Type",
    ]
    assert len(platemap) == small.n_wells == 26
    assert not platemap.duplicated(["Metadata_Plate", "Metadata_Well"]).any()
    kinds = platemap.groupby("Metadata_Control_Type").size().to_dict()
    assert kinds == {"empty": 2, "negcon": 8, "poscon": 8, "treatment": 8}
    empty = platemap[platemap["Metadata_Control_Type"] == "empty"]
    assert set(empty["Metadata_Perturbation"]) == set(empty["Metadata_Stimulation"]) == {"none"}
    for row in platemap.itertuples():
        y, x = ord(row.Metadata_Well[0]) - ord("A") + 1, int(row.Metadata_Well[1:])
        folder = small.out / row.Metadata_Plate / "Images"
        assert len(list(folder.glob(f"r{y:02d}c{x:02d}f*.tiff"))) == 6


def test_truth_about_nuclei_and_wells_agrees(small: PlateSummary) -> None:
    nuclei = pd.read_parquet(small.out / "truth_nuclei.parquet")
    wells = pd.read_parquet(small.out / "truth_wells.parquet")
    assert len(nuclei) == small.n_cells == wells["n_cells"].sum() > 100
    assert nuclei[["y_px", "x_px"]].min().min() >= 0
    assert nuclei[["y_px", "x_px"]].max().max() <= 95
    assert set(nuclei["site"]) == {1, 2}
    counts = nuclei.groupby(["plate", "well"]).size()
    for row in wells.itertuples():
        assert counts.get((row.plate, row.well), 0) == row.n_cells
        assert (row.n_cells == 0) == row.empty
        assert np.isnan(row.latent_density) == row.empty
    assert wells.groupby("plate")["out_of_focus"].sum().tolist() == [1, 1]
    assert not (wells["out_of_focus"] & wells["empty"]).any()
    blurred = wells[wells["out_of_focus"]].set_index(["plate", "well"]).index
    assert set(nuclei[nuclei["out_of_focus"]].set_index(["plate", "well"]).index) == set(blurred)


def test_omics_and_truth_speak_of_the_same_genes(small: PlateSummary) -> None:
    truth = pd.read_parquet(small.out / "truth.parquet")
    imaged = pd.read_csv(small.out / "platemap.csv")
    for modality, n in (("transcripts", 20), ("proteins", 10)):
        table = pd.read_csv(small.out / "omics" / f"{modality}.csv.gz")
        assert table.columns[:6].tolist() == ["sample", *imaged.columns]
        genes = truth[truth["modality"] == modality]["gene"].unique().tolist()
        assert table.columns[6:].tolist() == genes
        assert len(genes) == n
        assert len(table) == small.n_samples[modality] == 3 * 2 * 2
        assert not set(table["Metadata_Plate"]) & set(imaged["Metadata_Plate"])
        known = imaged[imaged["Metadata_Control_Type"] != "empty"]
        condition = ["Metadata_Perturbation", "Metadata_Stimulation"]
        assert set(map(tuple, table[condition].to_numpy())) == set(map(tuple, known[condition].to_numpy()))


def test_nuclei_shine_where_the_truth_says(small: PlateSummary) -> None:
    nuclei = pd.read_parquet(small.out / "truth_nuclei.parquet")
    nuclei = nuclei[~nuclei["out_of_focus"]]
    bright = 0
    for (plate, well, site), found in nuclei.groupby(["plate", "well", "site"]):
        y, x = ord(well[0]) - ord("A") + 1, int(well[1:])
        image = tifffile.imread(small.out / plate / "Images" / f"r{y:02d}c{x:02d}f{site:02d}p01-ch1sk1fk1fl1.tiff")
        assert image.dtype == np.uint16
        centres = image[found["y_px"].round().astype(int), found["x_px"].round().astype(int)]
        bright += int((centres > 1000).sum())
    assert bright == len(nuclei)


def test_plates_have_a_batch_effect(small: PlateSummary) -> None:
    def background(plate: str) -> list[float]:
        folder = small.out / plate / "Images"
        return [
            float(np.mean([np.percentile(tifffile.imread(f), 10) for f in sorted(folder.glob(f"*-ch{c}sk*.tiff"))]))
            for c in (1, 2, 3)
        ]

    first, second = np.array(background("T-01")), np.array(background("T-02"))
    assert np.abs(first - second).max() > 5


def test_progress_counts_sites(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    config = SMALL.model_copy(update={"n_plates": 1})
    simulate_plate(config, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 26) for done in range(1, 27)]


def test_an_unfinished_simulation_of_the_same_config_is_completed(small: PlateSummary, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_plate(SMALL, tmp_path / "out", progress=stop, threads=1)
    assert not (tmp_path / "out" / "truth.parquet").exists()
    simulate_plate(SMALL, tmp_path / "out")
    assert _digests(tmp_path / "out") == _digests(small.out)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and no earlier simulation") as caught:
        simulate_plate(SMALL, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_simulation_of_another_config_is_refused(small: PlateSummary) -> None:
    before = _digests(small.out)
    other = SMALL.model_copy(update={"seed": 7, "index": "V7"})
    with pytest.raises(InputError, match=r"another config \(differs in index, seed\); name a new folder"):
        simulate_plate(other, small.out)
    assert _digests(small.out) == before


def test_an_unreadable_marker_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "simulate.yaml").write_text("colour: red\n")
    with pytest.raises(InputError, match=r"cannot read; name a new folder.*colour: unknown key"):
        simulate_plate(SMALL, tmp_path)
    with pytest.raises(InputError, match="found a file"):
        simulate_plate(SMALL, tmp_path / "simulate.yaml")


def _well_features(folder: Path, well: str, sites: int) -> np.ndarray:
    """Six plain features of a well, one aimed at each latent; nuclei of about 12 px across."""
    row, column = ord(well[0]) - ord("A") + 1, int(well[1:])
    per_site = []
    for site in range(1, sites + 1):
        stem = f"r{row:02d}c{column:02d}f{site:02d}p01"
        raw = [tifffile.imread(folder / f"{stem}-ch{c}sk1fk1fl1.tiff") for c in (1, 2, 3)]
        dna, mito, actin = (cv2.medianBlur(image, 3).astype(np.float32) for image in raw)
        dna, mito, actin = (image - np.percentile(image, 5) for image in (dna, mito, actin))
        mask = dna > threshold_otsu(np.minimum(dna, 6000))
        shapes = pd.DataFrame(
            regionprops_table(label(mask), properties=("area", "axis_major_length", "axis_minor_length", "solidity"))
        )
        single = shapes[(shapes["area"] > 40) & (shapes["solidity"] > 0.9)]
        body = cv2.GaussianBlur(actin, (0, 0), 1) > 120
        n_nuclei = mask.sum() / single["area"].median()
        per_site.append(
            [
                body.sum() / n_nuclei,
                (single["axis_major_length"] / single["axis_minor_length"]).median(),
                single["area"].median(),
                mito[body].mean(),
                actin[cv2.erode(body.astype(np.uint8), np.ones((7, 7))) > 0].mean(),
                n_nuclei,
            ]
        )
    return np.log(np.mean(per_site, axis=0))


def test_plain_image_features_recover_the_latent_state(tmp_path: Path) -> None:
    config = PlateConfig(
        rows=4,
        columns=7,
        perturbations=14,
        replicates=1,
        empty_wells=0,
        out_of_focus_wells=0,
        size_px=270,
        nucleus_diameter_px=12,
        debris_per_site=0.0,
        transcripts=5,
        proteins=5,
    )
    out = simulate_plate(config, tmp_path / "out").out
    wells = pd.read_parquet(out / "truth_wells.parquet")
    latent = wells[[name for name in wells if name.startswith("latent_")]].to_numpy()
    features = np.stack([_well_features(out / "SIM" / "Images", well, config.sites) for well in wells["well"]])
    r = [np.corrcoef(latent[:, k], features[:, k])[0, 1] for k in range(6)]
    assert sum(value >= 0.8 for value in r) >= 5, r
    assert min(r) > 0.6, r
