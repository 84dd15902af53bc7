"""What ranks say in a step, by hand; and the projection, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu_check.scene import OBJECTIVES, Scene
from benchmarks.projection import Cluster, Work, exchange_seconds, page_tables, project
from benchmarks.scaling import MARKERS, PAGE, SUMS_BYTES, projected_seconds, update_projection
from benchmarks.traffic import count

CLUSTER = Cluster(per_node=2, inside=100.0, between=10.0, latency_s=0.5)
WORK = Work(tiles_per_s=10.0, tile_bytes=6, gradient_bytes=100, tiles=120)


def test_one_gpu_exchanges_nothing() -> None:
    one = project(WORK, 1, CLUSTER)
    assert (one.compute_s, one.exchange_s, one.slowest_s, one.tiles_per_s) == (12.0, 0.0, 12.0, (10.0, 10.0))
    assert one.read_bytes_per_s == 60.0
    assert one.efficiency(WORK) == (1.0, 1.0)


def test_a_ring_inside_a_machine_and_between_machines() -> None:
    assert exchange_seconds(100, 2, CLUSTER) == pytest.approx(100 / 100 + 2 * 0.5)
    assert exchange_seconds(100, 4, CLUSTER) == pytest.approx(1.5 * 100 / 10 + 6 * 0.5)


def test_what_fits_beside_backward_is_free() -> None:
    two = project(WORK, 2, CLUSTER)
    assert (two.compute_s, two.exchange_s, two.slowest_s, two.fastest_s) == (6.0, 2.0, 8.0, 6.0)
    four = project(WORK, 4, CLUSTER)
    # 3 s to compute, 2 of them backward; 18 s of exchange, 16 of them in sight.
    assert (four.slowest_s, four.fastest_s) == (21.0, 19.0)
    assert four.efficiency(WORK)[1] == pytest.approx(120 / 19 / 40)


def test_ranks_share_the_cores() -> None:
    assert projected_seconds(4.0, 0.5, 1, 2) == 4.5
    assert projected_seconds(4.0, 0.5, 2, 2) == projected_seconds(4.0, 0.5, 4, 2) == 2.5


def test_the_page_has_the_tables_of_the_code(tmp_path: Path) -> None:
    copy = tmp_path / "scaling.md"
    copy.write_text(PAGE.read_text())
    update_projection(copy)
    assert copy.read_text() == PAGE.read_text()
    assert page_tables() in copy.read_text()
    assert all(marker in copy.read_text() for marker in MARKERS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("traffic"), "cpu")


@pytest.mark.distributed
@pytest.mark.parametrize("batch_norm", ["local", "sync"])
def test_a_triplet_step_says_what_the_page_says(scene: Scene, tmp_path: Path, batch_norm: str) -> None:
    found = count(scene.config("triplet_mil", train={"batch_norm": batch_norm}), tmp_path)
    bags, width, world, channels = 3, 16, 2, (8, 16)
    # Two convolutions with batch normalisation, and a dense layer.
    weights = 3 * 8 * 9 + 2 * 8 + 8 * 16 * 9 + 2 * 16 + 16 * 16 + 16
    statistics = sum(8 * c + 4 + 8 * c for c in channels) if batch_norm == "sync" else 0
    assert found["gradient_bytes"] == 4 * weights
    assert found["said"]["allgather_base"] == bags * (4 * width + 32) + statistics
    assert found["said"]["allreduce"] == 4 * weights + SUMS_BYTES + world * bags * 4 * width


@pytest.mark.distributed
def test_an_objective_that_paints_says_its_gradient_and_its_sums(scene: Scene, tmp_path: Path) -> None:
    assert "autoencoder" in OBJECTIVES
    found = count(scene.config("autoencoder"), tmp_path)
    assert found["said"] == {"allreduce": found["gradient_bytes"] + SUMS_BYTES}
