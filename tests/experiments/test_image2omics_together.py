"""The comparison of models that are trained together with frozen heads, by hand on small cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from experiments.image2omics.together.page import write_page
from experiments.image2omics.together.scores import Block, compare, weighted_r
from experiments.image2omics.together.settings import _without
from experiments.image2omics.together.squares import labels_of, squares_of, write_squares

RNG = np.random.default_rng(0)


def test_r_of_rows_that_count_several_times_is_that_of_repeated_rows() -> None:
    x, y = RNG.normal(size=(2, 12, 3))
    counts = np.array([[1.0] * 12, [0, 2, 1, 1, 3, 0, 1, 1, 1, 0, 1, 1]])
    found = weighted_r(counts, x, y)
    for row, times in enumerate(counts.astype(int)):
        for gene in range(3):
            repeated = [np.repeat(side[:, gene], times) for side in (x, y)]
            assert found[row, gene] == pytest.approx(np.corrcoef(*repeated)[0, 1], abs=1e-12)


def test_r_of_a_constant_is_zero() -> None:
    assert weighted_r(np.ones((1, 4)), np.full((4, 1), 3.0), np.arange(4.0)[:, None])[0, 0] == 0.0


def _block(split: str, noise: float) -> Block:
    measured = RNG.normal(size=(40, 5))
    told = measured + noise * RNG.normal(size=(40, 5))
    groups = np.repeat([f"P{number}" for number in range(10)], 4).astype(object)
    return Block(
        split=split, target="rna", measured=measured, predicted={"a": told, "b": np.zeros((40, 5))}, groups=groups
    )


def test_rows_are_compared_on_the_same_draws() -> None:
    repeat = [_block("0", 0.5), _block("1", 0.5)]
    first, second = compare([repeat, repeat], "b", resamples=50)
    r = [
        [np.corrcoef(block.predicted["a"][:, gene], block.measured[:, gene])[0, 1] for gene in range(5)]
        for block in repeat
    ]
    assert first["median_r"] == pytest.approx(np.median(np.mean(r, axis=0)))
    assert first["of_splits"]["1"] == pytest.approx(np.median(r[1]))
    assert first["of_repeats"] == pytest.approx([first["median_r"]] * 2)
    assert first["interval"][0] < first["median_r"] < first["interval"][1]
    assert first["above_reference_by"] == first["median_r"]
    assert (second["median_r"], second["above_reference_interval"]) == (0.0, [0.0, 0.0])
    assert first["genes_above"]["0.4"] == 5
    assert second["genes_above"]["0.2"] == 0


def test_groups_are_resampled_whole() -> None:
    block = _block("0", 0.5)
    alone = Block(
        split="0", target="rna", measured=block.measured, predicted=block.predicted, groups=np.full(40, "P", object)
    )
    assert compare([[alone]], "b", resamples=20)[0]["interval"] == pytest.approx(
        [compare([[block]], "b", resamples=20)[0]["median_r"]] * 2
    )


def test_squares_are_wells_and_their_cells_share_a_label(tmp_path: Path) -> None:
    image = RNG.integers(0, 1000, size=(360, 1320)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "morphology_mip.tif", image)
    # Three cells of 40 transcripts each: two in the first square, one in the square six to the right and one below.
    rows = []
    for cell, (y, x), gene in (("1", (50, 60), "A"), ("2", (100, 100), "B"), ("3", (130, 725), "A")):
        rows += [(cell, gene if number < 30 else "C", x, y, 1, 40.0) for number in range(40)]
    columns = ["cell_id", "feature_name", "x_px", "y_px", "overlaps_nucleus", "qv"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "transcripts.csv.gz", index=False)
    assert write_squares(tmp_path, tmp_path / "raw") == 2
    wells = pd.read_csv(tmp_path / "raw" / "platemap.csv").set_index("Metadata_Well")
    assert wells.loc["A01", "Metadata_Block"] == "0-0"
    assert wells.loc["B07", ["Metadata_Strip", "Metadata_Neighbourhood"]].tolist() == [1, "1-0-6"]
    centres = pd.read_csv(tmp_path / "raw" / "centres.csv").groupby("well")[["y_px", "x_px"]].first()
    assert centres.loc["B07"].tolist() == [130 - 120 + 32, 725 - 720 + 32]
    cut = tifffile.imread(tmp_path / "raw" / "images" / "B07_DAPI.tif")
    assert cut.shape == (184, 184)
    np.testing.assert_array_equal(cut, image[88:272, 688:872])


def test_the_label_of_a_square_is_the_share_over_its_cells() -> None:
    cells = pd.DataFrame({"well": ["A01", "A01", "A02"], "G": [3, 1, 0], "transcripts": [30, 10, 20]})
    found = labels_of(cells, ["G"]).set_index("Metadata_Perturbation")["G"]
    assert found["A01"] == pytest.approx(np.log(1 + 100 * 4 / 40))
    assert found["A02"] == 0.0


def test_neighbourhoods_are_three_squares_of_one_column() -> None:
    cells = pd.DataFrame({"down": [0, 2, 3, 0], "across": [4, 4, 4, 5]})
    assert squares_of(cells).sort_values(["across", "down"])["Metadata_Neighbourhood"].tolist() == [
        "0-0-4",
        "0-0-4",
        "0-1-4",
        "1-0-5",
    ]


def test_a_strip_is_held_out_and_a_block_of_each_other_validates() -> None:
    blocks = [f"{strip}-{rows}" for strip in range(3) for rows in range(5)]
    assert _without(blocks, 1) == ("split={by: Metadata_Block, test: [1-0, 1-1, 1-2, 1-3, 1-4], val: [0-1, 2-3]}")


def test_the_page_has_a_table_per_data_set(tmp_path: Path) -> None:
    rows = compare([[_block("0", 0.5)]], "b", resamples=20)
    cost = {"pretrain": {"steps": 300.0, "seconds": 12.0, "best_step": 300.0}, "a": {"steps": 200.0, "best_step": 120.0,
            "seconds": 7.4}}  # fmt: skip
    setting = {
        "title": "simulated plate",
        "bags": 40,
        "tiles_per_bag": 3.0,
        "genes": 5,
        "test_bags": {"0 rna": 40},
        "rows": rows,
        "cost": cost,
        "missing": {"imagenet": "its weights are not installed"},
    }
    text = write_page(tmp_path, [setting]).read_text()
    assert "## Simulated plate" in text
    assert f"| a | {rows[0]['median_r']:.3f} [" in text
    assert "| 120 of 200 | 7 |" in text
    assert "Without the baseline `imagenet`: its weights are not installed" in text
