from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.format.schema import PERTURBATION, STIMULATION
from framework.data.plan import PlanUniverse
from framework.errors import RunError

START = np.asarray([0, 3, 3, 5])


@pytest.mark.parametrize(
    ("bags", "tiles", "message"),
    [
        ([0, 1], None, r"bag\(s\) 1 have no tiles"),
        ([2, 0], None, "increasing order"),
        ([0, 0], None, "once each"),
        ([0, 3], None, r"must lie in \[0, 3\)"),
        ([-1, 0], None, r"must lie in \[0, 3\)"),
        ([0], [1, 4], r"tile\(s\) 4 belong to no allowed bag"),
        ([0], [2, 1], "allowed tiles must be listed"),
    ],
)
def test_contradictions_die_at_construction(bags: list[int], tiles: list[int] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlanUniverse(
            bags=np.asarray(bags),
            bag_start=START,
            group=np.zeros(len(bags), np.int64),
            tiles=None if tiles is None else np.asarray(tiles),
        )


def test_groups_and_bags_must_pair_up() -> None:
    with pytest.raises(ValueError, match="1 bags but 2 condition ids"):
        PlanUniverse(bags=np.asarray([0]), bag_start=START, group=np.zeros(2, np.int64))


def test_conditions_come_from_columns_of_the_bag_table(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, bags=7, tiles_per_bag=(3, 0, 2))  # bags 1 and 4 are empty
    universe = PlanUniverse.of(dataset, np.asarray([6, 0, 1, 3, 5]), (PERTURBATION, STIMULATION))
    assert universe.bags.tolist() == [0, 3, 5, 6]
    assert universe.group_names == ("P0 / M1", "P0 / M2", "P2 / M2")
    assert universe.group.tolist() == [0, 1, 2, 0]
    assert universe.counts.tolist() == [3, 3, 2, 3]
    (item,) = universe.excluded
    assert (item.bags.tolist(), item.reason) == ([1], "no tiles")


def test_without_columns_all_bags_are_one_condition(tmp_path: Path) -> None:
    universe = PlanUniverse.of(make_dataset(tmp_path), np.arange(6))
    assert universe.group.tolist() == [0] * 6


def test_bags_without_a_condition_are_listed(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    dataset.bags.loc[2, PERTURBATION] = None
    universe = PlanUniverse.of(dataset, np.arange(6), (PERTURBATION,))
    assert 2 not in universe.bags
    (item,) = universe.excluded
    assert (item.bags.tolist(), item.reason) == ([2], f"no value in {PERTURBATION}")


@pytest.mark.parametrize("as_mask", [True, False])
def test_allowed_tiles_are_kept_to_the_bags(tmp_path: Path, as_mask: bool) -> None:
    dataset = make_dataset(tmp_path, tiles_per_bag=4)
    ids = np.asarray([1, 5, 6, 23])
    mask = np.zeros(24, bool)
    mask[ids] = True
    universe = PlanUniverse.of(dataset, np.asarray([1, 5]), tiles=mask if as_mask else ids)
    assert universe.tiles is not None
    assert universe.tiles.tolist() == [5, 6, 23]


def test_an_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no bag column 'Metadata_Perturbaton'.*did you mean 'Metadata_Perturbation'\?"):
        PlanUniverse.of(make_dataset(tmp_path), np.arange(6), ("Metadata_Perturbaton",))
