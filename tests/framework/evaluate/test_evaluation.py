from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.full_disk import at_every_moment, content
from fixtures.tiny_dataset import make_dataset, resealed
from rich.console import Console

from framework.data.format.schema import BAG, SOURCE, digest_of
from framework.data.store import TileStore, dataset_digest
from framework.errors import InputError
from framework.evaluate import (
    EvaluateConfig,
    evaluate,
    read_evaluation,
    render,
    tile_mean_intensities,
    write_evaluation,
)

QUICK = EvaluateConfig(resamples=200)


def shown(table: object) -> str:
    console = Console(width=100, record=True)
    console.print(table)
    return console.export_text()


def tile_predictions(dataset, parts: dict[int, str], transform: str = "none") -> anndata.AnnData:
    """Predict every tile of the bags in ``parts`` as its measured value plus noise."""
    raw = dataset.markers(("FRA1",)).astype(np.float64)
    values = np.log10(raw) if transform == "log10" else raw
    bag = dataset.index.bag
    rows = np.flatnonzero(np.isin(bag, list(parts)))
    obs = pd.DataFrame({SOURCE: "plate1", BAG: dataset.bags[BAG].to_numpy()[bag[rows]], "tile": rows})
    obs["part"] = [parts[b] for b in bag[rows]]
    obs.index = obs.index.astype(str)
    config = f"split: {{by: {BAG}, train: [A01, A02, A03, A04], test: [A05, A06]}}\n"
    config += f"objective: {{name: marker_regression, markers: [FRA1], transform: {transform}}}\n"
    noise = np.random.default_rng(0).normal(0, 0.1, (len(rows), 1))
    return anndata.AnnData(
        X=np.nan_to_num(values[rows]) + noise,
        obs=obs,
        var=pd.DataFrame({"train_mean": [np.nanmean(values)], "train_sd": [1.0]}, index=["FRA1"]),
        layers={"measured": values[rows]},
        uns={"wellstream": {"kind": "predictions", "objective": "marker_regression", "config": config}},
    )


def test_omics_round_trip(wells, tmp_path: Path) -> None:
    for seed in range(2):
        wells(seed).write_h5ad(tmp_path / f"{seed}.h5ad")
    made = evaluate([tmp_path], out=tmp_path / "out")
    back = read_evaluation(tmp_path / "out")
    assert back.kind == "omics"
    assert back.summary["rows"][0]["significant"] == 10
    assert [item["split"] for item in back.summary["predictions"]] == ["0", "1"]
    assert back.summary["predictions"][0]["file"] == "0.h5ad"
    for name, table in made.tables.items():
        pd.testing.assert_frame_equal(back.tables[name], table.reset_index(drop=True), check_dtype=False)
    csv = pd.read_csv(tmp_path / "out" / "per_gene.csv")
    assert csv["gene"].tolist() == made.tables["per_gene"]["gene"].tolist()
    assert "50.0%" in shown(render(made))
    assert shown(render(made)) == shown(render(back.summary))


def test_writing_twice_gives_the_same_bytes(wells, tmp_path: Path) -> None:
    for name in ("a", "b"):
        evaluate([wells(0)], out=tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_a_full_disk_leaves_the_evaluation_before_it_whole(wells, tmp_path: Path) -> None:
    evaluate([wells(0)], out=tmp_path / "wanted")
    wanted = content(tmp_path / "wanted")
    evaluate([wells(1)], out=tmp_path / "out")
    before = content(tmp_path / "out")
    said: list[str] = []

    def after(sentence: str) -> None:
        said.append(sentence)
        assert content(tmp_path / "out") in (before, wanted)

    assert at_every_moment(lambda: evaluate([wells(0)], out=tmp_path / "out"), after) > 4
    assert content(tmp_path / "out") == wanted
    assert all(each.startswith(f"{tmp_path}/out") and "no space left on device" in each for each in said)
    at_every_moment(lambda: evaluate([wells(0)], out=tmp_path / "new"), lambda _: None)
    assert content(tmp_path / "new") == wanted


def test_json_holds_no_nan(wells, tmp_path: Path) -> None:
    data = wells(0)
    data.X[:, 0] = 1.0
    evaluation = evaluate([data])
    summary = {**evaluation.summary, "rows": [{**evaluation.summary["rows"][0], "r2": float("nan")}]}
    write_evaluation(tmp_path, type(evaluation)(kind="omics", summary=summary, tables=evaluation.tables))
    assert json.loads((tmp_path / "evaluation.json").read_text())["rows"][0]["r2"] is None
    assert "–" in shown(render(read_evaluation(tmp_path)))


def test_dropped_genes_of_the_dataset_are_the_filtered_ones(wells, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", targets={"rna_M1": 25})
    file = dataset.root / "targets" / "rna_M1.h5ad"
    target = anndata.read_h5ad(file)
    target.uns["wellstream"] = {"dropped_genes": np.array(["X1", "X2"], dtype=object)}
    target.write_h5ad(file)
    resealed(dataset.root)
    row = evaluate([wells(0)], dataset.root).summary["rows"][0]
    # 2 dropped at ingest, 25 - 20 without a prediction.
    assert (row["filtered"], row["genes"]) == (7, 27)


@pytest.mark.parametrize("transform", ["none", "log10"])
@pytest.mark.parametrize("with_train", [True, False])
def test_markers_get_a_linear_baseline(tmp_path: Path, transform: str, with_train: bool) -> None:
    dataset = make_dataset(tmp_path / "d", markers=("FRA1",), tiles_per_bag=12)
    parts = {4: "test", 5: "test"} | (dict.fromkeys(range(4), "train") if with_train else {})
    evaluation = evaluate([tile_predictions(dataset, parts, transform)], dataset.root, tmp_path / "out", QUICK)
    row = evaluation.summary["rows"][0]
    assert evaluation.summary["notes"] == []
    # The disc's radius sets the marker and the mean intensity.
    assert row["r_linear"] > 0.8
    assert row["rmse_linear"] < row["rmse_mean"]
    assert "FRA1" in shown(render(read_evaluation(tmp_path / "out")))


def test_both_ways_to_the_train_cells_agree(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", markers=("FRA1",), tiles_per_bag=12)
    test = {4: "test", 5: "test"}
    alone = evaluate([tile_predictions(dataset, test)], dataset.root, config=QUICK)
    whole = evaluate([tile_predictions(dataset, test | dict.fromkeys(range(4), "train"))], dataset.root, config=QUICK)
    assert alone.summary["rows"][0]["rmse_linear"] == pytest.approx(whole.summary["rows"][0]["rmse_linear"])


def test_the_linear_baseline_sees_the_channels_of_the_run_alone(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", markers=("FRA1",), tiles_per_bag=12)
    parts = {4: "test", 5: "test"} | dict.fromkeys(range(4), "train")
    data = tile_predictions(dataset, parts)
    everything = evaluate([data], dataset.root, config=QUICK).summary["rows"][0]["rmse_linear"]
    config = data.uns["wellstream"]["config"]
    data.uns["wellstream"]["config"] = config + "data: {path: d, channels: [B]}\n"
    one = evaluate([data], dataset.root, config=QUICK).summary["rows"][0]["rmse_linear"]
    assert one != pytest.approx(everything)
    measured, train = np.asarray(data.layers["measured"])[:, 0], (data.obs["part"] == "train").to_numpy()
    means = tile_mean_intensities(TileStore(dataset, ("B",)), data.obs["tile"].to_numpy())
    known = ~np.isnan(measured)
    slope, start = np.polyfit(means[train & known, 0], measured[train & known], 1)
    test = ~train & known
    by_hand = np.sqrt(np.mean((start + slope * means[test, 0] - measured[test]) ** 2))
    assert one == pytest.approx(by_hand)
    data.uns["wellstream"]["config"] = config + "data: {path: d, channels: [Gone]}\n"
    summary = evaluate([data], dataset.root, config=QUICK).summary
    assert "channels" in summary["notes"][0]
    assert np.isnan(summary["rows"][0]["rmse_linear"])


def test_predictions_of_another_dataset_are_refused(wells, tmp_path: Path) -> None:
    dataset, other = make_dataset(tmp_path / "d"), make_dataset(tmp_path / "e", bags=5)
    data = wells(0)
    data.uns["wellstream"]["dataset_digest"] = dataset_digest(dataset)
    evaluate([data], dataset.root)
    with pytest.raises(InputError, match=r"which is not .*predict again"):
        evaluate([data], other.root)


def test_a_missing_baseline_is_said(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", markers=("FRA1",), tiles_per_bag=12)
    data = tile_predictions(dataset, {4: "test", 5: "test"})
    assert "add --data DATASET" in evaluate([data], config=QUICK).summary["notes"][0]
    data.layers["measured"] = data.layers["measured"] * 1000
    assert "in other units" in evaluate([data], dataset.root, config=QUICK).summary["notes"][0]
    del data.uns["wellstream"]["config"]
    assert "does not say how it was split" in evaluate([data], dataset.root, config=QUICK).summary["notes"][0]
    with pytest.raises(InputError, match="expected one prediction file of tiles, found 2"):
        evaluate([data, data], config=QUICK)


def with_digest(summary: dict[str, Any]) -> str:
    return json.dumps({**summary, "digest": digest_of(summary)})


def test_reading_what_is_no_evaluation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make one with: wellstream evaluate"):
        read_evaluation(tmp_path)
    file = tmp_path / "evaluation.json"
    for text, message in (
        ("{", "not readable as the summary of an evaluation"),
        ('{"format": 9}', "expected format 3"),
        ('{"format": 3, "kind": "omics"}', "was changed since it was written"),
        (with_digest({"format": 3, "kind": "x"}), "kind"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            read_evaluation(tmp_path)
    file.write_text(with_digest({"format": 3, "kind": "omics", "tables": ["../secret"]}))
    with pytest.raises(InputError, match="missing although"):
        read_evaluation(tmp_path)


def test_an_edited_summary_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", markers=("FRA1",), tiles_per_bag=12)
    write_evaluation(tmp_path / "scores", evaluate([tile_predictions(dataset, {4: "test", 5: "test"})], config=QUICK))
    file = tmp_path / "scores" / "evaluation.json"
    summary = json.loads(file.read_text())
    assert read_evaluation(tmp_path / "scores").summary == summary
    summary["rows"][0]["r2"] = 0.99
    file.write_text(json.dumps(summary))
    with pytest.raises(InputError, match=r"evaluation\.json: was changed since it was written.*evaluate again"):
        read_evaluation(tmp_path / "scores")
