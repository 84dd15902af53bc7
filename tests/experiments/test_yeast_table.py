"""The table of held-out yeast cells: what is chosen on training fields, and what is said of the held-out one."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from experiments.paired_cell_inpainting.yeast_table import (
    BASELINES,
    FIELD,
    HELD_OUT,
    LABEL,
    LAYERS,
    READINGS,
    TRAINED,
    beside,
    compare,
    main,
)

PROTEINS, CELLS = ("AAC1", "AAC3", "AAH1"), 15
CHOSEN, TEMPTING = ("paired", READINGS[1], "conv4"), ("paired", READINGS[0], "conv2")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, but for two files: one tells training fields apart (in field 4 it takes every fifth
    carrier for the other one), the other only field 4."""
    root = tmp_path_factory.mktemp("yeast")
    random = np.random.default_rng(0)
    obs = pd.DataFrame(
        [
            {LABEL: protein, FIELD: field, "tile": number}
            for protein in PROTEINS
            for field in ("1", "2", "3", HELD_OUT)
            for number in range(CELLS)
        ]
    )
    obs.index = pd.Index([f"tile-{at}" for at in range(len(obs))])
    protein = obs[LABEL].map(PROTEINS.index).to_numpy().astype(float)
    held_out = (obs[FIELD] == HELD_OUT).to_numpy()
    wrong = held_out & (obs["tile"].to_numpy() < CELLS // 5) & (protein < 2)
    known = np.where(wrong, 1 - protein, protein)

    def write(file: Path, column: np.ndarray | None) -> None:
        values = random.normal(size=(len(obs), 3))
        if column is not None:
            values += 1000 * column[:, None]
        file.parent.mkdir(parents=True, exist_ok=True)
        anndata.AnnData(values.astype(np.float32), obs=obs).write_h5ad(file)

    columns = {CHOSEN: known, TEMPTING: np.where(held_out, protein, 0.0)}
    for kind in (*TRAINED, "untrained"):
        for reading in READINGS:
            for layer in LAYERS:
                folder = root / "features" / f"{kind}-0-{reading.pool}{reading.views}"
                write(folder / f"{layer}.h5ad", columns.get((kind, reading, layer)))
    for kind in BASELINES:
        write(root / "features" / f"{kind}.h5ad", None)
    (root / "paired-0" / "inpainting").mkdir(parents=True)
    loss = {"loss": 1.0, "loss_mismatched": 2.0, "ratio": 2.0, "right_is_better": 0.75, "pairs": 9}
    (root / "paired-0" / "inpainting" / "inpainting.json").write_text(json.dumps(loss))
    return root


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_speaks_for_a_kind_is_chosen_without_the_held_out_field(out: Path) -> None:
    found = compare(out, [0])
    paired, *others = found["rows"]
    assert (paired["layer"], paired["reading"]) == (CHOSEN[2], {"pool": "mean", "views": 1})
    assert paired["validation"] == 1
    # 3 of 15 cells of either carrier in the held-out field were given the other's look.
    assert paired["balanced"] == pytest.approx((0.8 + 0.8 + 1) / 3)
    assert paired["low"] < (0.8 + 0.8 + 1) / 3 < paired["high"]
    assert paired["first_is_above_by"] == [0, 0, 0]
    assert [row["kind"] for row in others] == ["autoencoder", "untrained", "intensity", "classic"]
    for row in others:
        assert row["first_is_above_by"][0] == pytest.approx(paired["balanced"] - row["balanced"])
    assert paired["carriers_together"]["balanced"] == 1
    assert found["cells"] == {"train": 135, "test": 45, "k": 11, "seeds": [0]}
    assert found["confusion"]["AAC1"] == {"AAC1": 12, "AAC3": 3, "AAH1": 0}
    assert found["pretext"] == [{"seed": 0, "loss": 1, "loss_mismatched": 2, "ratio": 2, "right_is_better": 0.75}]
    assert "too narrow" in found["notes"][0]


def test_a_failed_step_ends_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["yeast_table", "--crops", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert main() == 1
    said = capfd.readouterr()
    assert "'Ingest' ended with exit code" in said.out
    assert "Traceback" not in said.out + said.err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trained_networks_stand_beside_every_baseline_by_the_same_votes(out: Path, tmp_path: Path) -> None:
    rows = compare(out, [0])["rows"]
    data = tmp_path / "data"
    make_dataset(data, bags=12, tiles_per_bag=CELLS)
    for file in (out / "features").rglob("*.h5ad"):
        table = anndata.read_h5ad(file)
        table.obs["tile"] = np.arange(len(table))
        place = tmp_path / file.relative_to(out)
        place.parent.mkdir(parents=True, exist_ok=True)
        table.write_h5ad(place)
    found = beside(tmp_path, [0], rows)
    assert (found["targets"][0]["target"], found["targets"][0]["verdict"]) == ("paired 0", "above")
    assert found["targets"][0]["model"] == pytest.approx(rows[0]["balanced"])
    assert {"mean", "count", "intensity", "classic"} <= {row["baseline"] for row in found["rows"]}
    assert set(found["missing"]) >= {"untrained", "shuffled"}
