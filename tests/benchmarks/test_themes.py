"""Parts of the themes whose values can be worked out; ``python -m benchmarks all --quick`` runs them whole in CI."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks import growth, mil, plans, scores, stream_zarr, tables, tiling, verify
from benchmarks.__main__ import main
from benchmarks.harness import Costs, Measured, WrongPixels
from benchmarks.ranks import RankFacts, launch, rank_costs
from benchmarks.steps import Feed, Setting, Trainer
from benchmarks.synthetic import draw_pixels, write_dataset
from framework.data.dataset import Dataset, TileIndex
from framework.data.store import TileStore
from framework.distributed import Ranks
from framework.evaluate import evaluate_omics
from framework.models import mean_over_tiles


def test_a_theme_writes_its_result(tmp_path: Path) -> None:
    assert main(["tiling", "--quick", "--out", str(tmp_path)]) in (0, 1)
    assert [path.name.split("_")[0] for path in tmp_path.glob("*_quick.json")] == ["tiling"]


def test_pixels_that_differ_fail_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "AGREEMENT", 1.1)
    assert main(["tiling", "--quick", "--out", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_is_a_mistake_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="2"):
        main(["training", "--device", "cuda"])
    assert "finds no CUDA device here" in capsys.readouterr().err


def test_a_statistic_that_is_not_scipys_voids_the_scores() -> None:
    data, genes = scores.predictions(20, 0), np.arange(20)
    ours, theirs = evaluate_omics([data]).per_split, scores.gene_by_gene(data, genes)
    scores.need_equal(ours, theirs, genes)
    ours.loc[7, "p_mannwhitney"] += 1e-6
    with pytest.raises(WrongPixels, match="p_mannwhitney differs from scipy's by 1e-06"):
        scores.need_equal(ours, theirs, genes)


def test_a_wrong_gradient_voids_mining(monkeypatch: pytest.MonkeyPatch) -> None:
    mil.check_gradients()

    def detached(tiles: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        pooled = mean_over_tiles(tiles, weights)
        return pooled + (pooled * 0.5 - (pooled * 0.5).detach())

    monkeypatch.setattr(mil, "mean_over_tiles", detached)
    with pytest.raises(WrongPixels, match="gradient of mean"):
        mil.check_gradients()


def test_the_plain_loop_is_what_it_says() -> None:
    """Points on a line at 0, 1 | 3, 7: squared distances worked out by hand; margin 0.2."""
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    condition = torch.tensor([0, 0, 1, 1])
    # Positives 0-1 (1): their negatives 9, 4 lie beyond, hinges 0. 2-3 (16): for 2 all negatives (9, 4) are nearer, the
    # farthest is 9: 16 - 9 + 0.2; for 3 negatives 49 and 36 are beyond: 0.
    assert mil.loop(points, condition).item() == pytest.approx(7.2)
    assert mil.vectorised(points, condition).item() == pytest.approx(7.2)


class Rows:
    """A plan whose every step shows the given bags."""

    def __init__(self, bags: list[int], weights: list[float]) -> None:
        self.rows = type("Rows", (), {"bags": np.array(bags), "weights": np.array(weights)})()

    def at(self, step: int) -> Any:
        return self.rows


def test_entropy_of_plates_over_its_ideal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "PER_PLATE", 10)
    drawn = np.random.default_rng(0).integers(0, 2, 4)
    share = np.unique(drawn, return_counts=True)[1] / 4
    ideal = -(share * np.log(share)).sum()
    assert plans.entropy(Rows([0, 1, 10, 19], [1, 1, 1, 1]), steps=1) == pytest.approx(math.log(2) / ideal)  # type: ignore[arg-type]
    # Padding rows say nothing: all that counts lies on one plate.
    assert plans.entropy(Rows([0, 1, 2, 3, 19], [1, 1, 1, 1, 0]), steps=1) == 0.0  # type: ignore[arg-type]


def test_the_ideal_of_conditions_on_one_plate_draws_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "PER_PLATE", 2)
    plan = Rows([0, 1, 200, 201], [1, 1, 1, 1])
    # Two conditions on two of 101 plates: as good as two drawn at random, half as good as four bags.
    assert plans.entropy(plan, together=2, steps=1) == pytest.approx(1.0)  # type: ignore[arg-type]
    assert plans.entropy(plan, steps=1) == pytest.approx(0.5)  # type: ignore[arg-type]


def test_bytes_of_an_index_held_and_mapped(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "offset.arrow", pa.schema({"offset": pa.int64()})) as writer:
        writer.write_table(pa.table({"offset": pa.array(range(5), pa.int64())}))
    four = np.zeros(5, dtype=np.int32)
    held = TileIndex(bag=four, shard=four, offset=np.zeros(5, np.int64), bag_start=np.zeros(2, np.int64))
    assert plans.index_bytes(held) == (96, 0)
    offset = pa.ipc.open_file(pa.memory_map(str(tmp_path / "offset.arrow"))).get_batch(0)["offset"].to_numpy()
    mapped = TileIndex(bag=four, shard=four, offset=offset, bag_start=np.zeros(2, np.int64), nbytes=four)
    assert plans.index_bytes(mapped) == (76, 40)


def test_tables_without_pixels_open_as_a_dataset(tmp_path: Path) -> None:
    tables.write_without_pixels(tmp_path / "d", 60, 4)
    dataset = Dataset.open(tmp_path / "d")
    assert (len(dataset.index), dataset.manifest.n_bags) == (60, 4)
    assert dataset.index.bag_start.tolist() == [0, 15, 30, 45, 60]
    assert dataset.index.offset[16] - dataset.index.offset[15] == dataset.manifest.tile.nbytes


def test_written_tables_lead_to_the_pixels(tmp_path: Path) -> None:
    pixels = draw_pixels(8)
    tables.write(write_dataset(tmp_path / "d", pixels, 4))
    store = TileStore(Dataset.open(tmp_path / "d"))
    out = np.empty((2, *pixels.shape[1:]), np.uint16)
    store.gather(np.array([5, 2]), out)
    assert np.array_equal(out, pixels[[5, 2]])


def test_a_feed_trains_on_the_steps_it_names(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "d", draw_pixels(32), 8)
    trainer = Trainer(dataset, Setting(bags=4, tiles=2, width=8), Ranks.solo(), tmp_path / "run")
    feed = Feed(trainer, steps=2)
    for _ in range(2):
        feed.warm()
        feed.run()
        assert feed.last is not None
        assert feed.last.step == feed.steps[-1] == 4
    feed.close()
    trainer.close()
    lines = (tmp_path / "run" / "audit" / "rank-00000.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 2 * 5
    assert len(feed.waited_s) == 2
    assert feed.device_s == []


@pytest.mark.distributed
def test_two_ranks_train_on_a_dataset(tmp_path: Path) -> None:
    tables.write(write_dataset(tmp_path / "d", draw_pixels(32), 8))
    found = launch(tmp_path / "d", Setting(bags=4, tiles=2, width=8), world=2, steps=1, repetitions=2)
    assert [len(rank.seconds) for rank in found] == [2, 2]
    assert all(rank.peak_mb > 50 for rank in found)


def test_a_rank_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="no such dataset")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match=r"benchmarks\.ranks on 3 ranks failed:\nno such dataset"):
        launch(tmp_path, Setting(bags=4, tiles=2), world=3, steps=1, repetitions=1)


def test_costs_of_ranks_add_up() -> None:
    ranks = [
        RankFacts(seconds=[1.0, 2.0], waited_s=[0, 0], cpu_s=[0.5, 0.75], peak_mb=100.0, exchange_s=[])
        for _ in range(2)
    ]
    costs = rank_costs({2: [ranks, ranks]})
    assert costs.seconds == {"2 ranks": [1.0, 2.0, 1.0, 2.0]}
    assert costs.cpu_seconds == {"2 ranks": [1.0, 1.5, 1.0, 1.5]}
    assert costs.peak_mb == {"2 ranks": 200.0}


def test_growth_is_drawn_from_what_was_measured(tmp_path: Path) -> None:
    seconds = {"balanced_bags, 1e+05 tiles": [0.02, 0.04], "balanced_bags, 1e+09 tiles": [0.06, 0.06]}
    measured = [
        Measured(theme="growth", case=case, unit="steps", items=20, costs=Costs(seconds=seconds), limit="")
        for case in (growth.BY_TILES, growth.BY_WORLD)
    ]
    growth.draw(measured, tmp_path / "a.svg")
    growth.draw(measured, tmp_path / "b.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    # One panel: of the other only one of two curves was measured.
    assert text.count('<g id="axes_') == 1
    # One curve: its error bars, there and in the legend.
    assert text.count('<g id="LineCollection_') == 2


def test_arrays_of_zarr_are_read_as_datasets(tmp_path: Path) -> None:
    pixels = draw_pixels(8)
    arrays = stream_zarr.write(tmp_path, pixels, 4)
    for kind, path in arrays.items():
        found = stream_zarr.dataset(kind, path, 8, 4)
        out = np.empty((3, *pixels.shape[1:]), np.uint16)
        TileStore(found).gather(np.array([5, 2, 5]), out)
        assert np.array_equal(out, pixels[[5, 2, 5]]), kind


def test_a_verification_that_finds_nothing_voids_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_PER_BAG", 8)
    root = verify._dataset(tmp_path / "d", 1)
    file = sorted((root / "shards").iterdir())[0]
    before = file.read_bytes()
    verify.check_flipped(root, file)
    assert file.read_bytes() == before
    monkeypatch.setattr(verify, "verify_dataset", lambda _: None)
    with pytest.raises(WrongPixels, match="verify said: nothing"):
        verify.check_flipped(root, file)
