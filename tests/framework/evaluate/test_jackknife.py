"""Jackknife+ over splits by hand, its coverage where rows are exchangeable, and files that do not go together."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import wellstream as ws
from framework.data.format.schema import BAG, PERTURBATION, SOURCE
from framework.errors import ConfigError, InputError
from framework.evaluate.jackknife import HeldOut, Splits


def split(keys: str, predicted: list[float], measured: list[float]) -> HeldOut:
    """Rows that one split held out; each is called by a letter, and capitals are of one unit."""
    return HeldOut(
        key=np.array(list(keys), dtype=object),
        unit=np.array(["U" if key.isupper() else key for key in keys], dtype=object),
        predicted=np.array(predicted)[:, None],
        measured=np.array(measured)[:, None],
    )


def test_the_ends_of_one_split_are_the_quantile_of_its_errors() -> None:
    one = split("xabcdefghi", [100.0] + [0.0] * 9, [0.0, *map(float, range(1, 10))])
    # n = 9: k = ceil(10 x 0.9) = 9, the largest; at 0.8 k = 8; at 0.95 there are too few.
    for level, width in ((0.9, 9.0), (0.8, 8.0), (0.95, np.inf)):
        (ends,) = Splits([one]).ends(level)
        assert (ends.lower[0, 0], ends.upper[0, 0]) == (100 - width, 100 + width)


def test_the_ends_of_two_parts_are_quantiles_over_both() -> None:
    # Sums 10 + {1, 2} and 20 + {3, 4}: 11, 12, 23, 24; n = 4, k = ceil(5 x 0.6) = 3, the third smallest is 23.
    # Differences 10 - {1, 2} and 20 - {3, 4}: 9, 8, 17, 16; the third largest is 9.
    second = split("xcd", [20.0, 0.0, 0.0], [0.0, 3.0, 4.0])
    for ends in Splits([split("xab", [10.0, 0.0, 0.0], [0.0, 1.0, 2.0]), second]).ends(0.6):
        assert (ends.lower[0, 0], ends.upper[0, 0]) == (9.0, 23.0)
    # 11, 23, 24: n = 3, k = ceil(4 x 0.6) = 3, which is 24; of 9, 17, 16 the third largest is 9.
    for ends in Splits([split("xab", [10.0, 0.0, 0.0], [0.0, 1.0, np.nan]), second]).ends(0.6):
        assert (ends.lower[0, 0], ends.upper[0, 0]) == (9.0, 24.0)


def test_a_row_is_asked_of_the_splits_that_held_out_both_it_and_the_row_that_calibrates() -> None:
    # x is held out by both splits, a by the first alone, b by both, c by the second alone.
    first = split("xab", [10.0, 0.0, 0.0], [0.0, 1.0, 6.0])
    second = split("xbc", [20.0, 4.0, 0.0], [0.0, 6.0, 3.0])
    # By a: 10 with an error of 1; by b: the mean 15, which says 2 of b and misses 6 by 4; by c: 20, error 3.
    # k = ceil(4 x 0.5) = 2: of 11, 19, 23 the second is 19; of 9, 11, 17 the second largest is 11.
    ends = Splits([first, second]).ends(0.5)
    for each in ends:
        assert (each.lower[0, 0], each.upper[0, 0]) == (11.0, 19.0)
    # A new row, of which the splits say 100 and 200: 100 + 1, 150 + 4, 200 + 3; and x, missed by 15: 150 + 15.
    new = Splits([first, second]).ends_of_new([np.array([[100.0]]), np.array([[200.0]])], 0.5)
    # k = ceil(5 x 0.5) = 3: of 101, 154, 165, 203 the third is 165; of 99, 146, 135, 197 the third largest is 135.
    assert (new.lower[0, 0], new.upper[0, 0]) == (135.0, 165.0)


def test_rows_of_a_unit_do_not_calibrate_each_other() -> None:
    one = split("ABcd", [0.0] * 4, [1.0, 2.0, 10.0, 20.0])
    # Of A and B the errors 10 and 20 decide: n = 2, k = ceil(3 x 0.6) = 2; of c 1, 2 and 20: k = ceil(4 x 0.6) = 3.
    (ends,) = Splits([one]).ends(0.6)
    assert ends.upper[:, 0].tolist() == [20.0, 20.0, 20.0, 10.0]


def by_a_plain_loop(held: list[HeldOut], asked: tuple[str, str, dict[int, np.ndarray]], level: float) -> np.ndarray:
    """Ends of one row, (2, P): key, unit, and what each split that held it out says of it."""
    key, unit, said = asked
    rows = {(number, name): row for number, of in enumerate(held) for row, name in enumerate(of.key.tolist())}
    unit_of = {name: one for of in held for name, one in zip(of.key.tolist(), of.unit.tolist(), strict=True)}
    above, below = [], []
    for name in unit_of:
        both = [number for number in said if (number, name) in rows]
        if name == key or unit_of[name] == unit or not both:
            continue
        guess = np.mean([held[number].predicted[rows[number, name]] for number in both], axis=0)
        error = np.abs(held[both[0]].measured[rows[both[0], name]] - guess)
        middle = np.mean([said[number] for number in both], axis=0)
        above.append(error + middle)
        below.append(error - middle)
    ends = []
    for sums in (below, above):
        of_columns = []
        for column in np.array(sums).T:
            known = np.sort(column[np.isfinite(column)])
            place = int(np.ceil((len(known) + 1) * level - 1e-9))
            of_columns.append(known[place - 1] if place <= len(known) else np.inf)
        ends.append(np.array(of_columns))
    return np.stack([-ends[0], ends[1]])


@pytest.mark.parametrize("level", [0.5, 0.9, 0.97])
def test_all_columns_at_once_say_what_a_plain_loop_says_to_the_last_bit(level: float) -> None:
    random = np.random.default_rng(3)
    names = np.repeat([f"P{number}" for number in range(40)], 3)
    keys = np.array([f"w{row}" for row in range(120)], dtype=object)
    # Few distinct values, so that there are ties, and a third of one column is unknown.
    measured = np.round(random.normal(size=(120, 7)), 1)
    measured[random.random(120) < 1 / 3, 2] = np.nan
    held = []
    for _ in range(6):
        mine = np.flatnonzero(np.isin(names, random.permutation([f"P{number}" for number in range(40)])[:14]))
        guess = np.round(measured[mine] + random.normal(size=(len(mine), 7)), 1)
        guess = np.where(np.isfinite(guess), guess, 0.0)
        held.append(HeldOut(key=keys[mine], unit=names[mine].astype(object), predicted=guess, measured=measured[mine]))
    splits = Splits(held)
    for number, ends in enumerate(splits.ends(level)):
        for row, key in enumerate(held[number].key.tolist()):
            said = {
                other: of.predicted[of.key.tolist().index(key)]
                for other, of in enumerate(held)
                if key in of.key.tolist()
            }
            wanted = by_a_plain_loop(held, (key, held[number].unit[row], said), level)
            assert np.array_equal(np.stack([ends.lower[row], ends.upper[row]]), wanted), (number, key)
    new = [random.normal(size=(5, 7)) for _ in held]
    ends = splits.ends_of_new(new, level)
    for row in range(5):
        wanted = by_a_plain_loop(held, ("", "", dict(enumerate(each[row] for each in new))), level)
        assert np.array_equal(np.stack([ends.lower[row], ends.upper[row]]), wanted), row


def predictions(folder: Path, seed: int, *, splits: int = 10, genes: int = 20, shift: float = 0.0) -> list[Path]:
    """Files of several splits of 60 perturbations in two wells; the model of a split misses by noise of its own."""
    random = np.random.default_rng(seed)
    names = np.repeat([f"P{number}" for number in range(60)], 2)
    truth = np.repeat(random.normal(size=(60, genes)), 2, axis=0) + random.normal(0, 0.3, (120, genes))
    common = np.repeat(random.normal(0, 0.5, (60, genes)), 2, axis=0)
    files = []
    for split in range(splits):
        test = np.isin(names, np.random.default_rng(seed + 1000 * split).permutation([f"P{n}" for n in range(60)])[:18])
        rows = pd.DataFrame(
            {
                SOURCE: "p1",
                BAG: [f"w{row}" for row in range(120)],
                PERTURBATION: names,
                "part": np.where(test, "test", "train"),
            },
            index=[f"bag-{row}" for row in range(120)],
        )
        guess = truth + common + random.normal(0, 0.1, truth.shape) + shift
        facts = {"kind": "predictions", "target": "rna", "split": {"seed": split, "by": PERTURBATION}}
        data = anndata.AnnData(
            X=guess.astype(np.float32),
            obs=rows,
            var=pd.DataFrame({"train_mean": 0.0}, index=[f"g{gene}" for gene in range(genes)]),
            layers={"measured": truth.astype(np.float32)},
            uns={"wellstream": facts},
        )
        files.append(folder / f"split-{split}" / "rna.h5ad")
        files[-1].parent.mkdir(parents=True)
        data.write_h5ad(files[-1])
    return files


def test_nine_of_ten_values_of_perturbations_that_no_split_learned_from_are_held(tmp_path: Path) -> None:
    files = predictions(tmp_path / "known", 0)
    summary = ws.intervals([file.parent for file in files], tmp_path / "out", level=0.9)
    assert (summary.files, summary.splits) == (10, 10)
    made = ws.evaluate([tmp_path / "out" / file.parent.name for file in files])
    (target,) = made.summary["coverage"]["targets"]
    # One of 60 perturbations is held out by no split. A single one is 1.7 points; the mean over 20 genes moves less.
    assert 0.87 < target["covered"] < 0.93
    assert target["units"] == {"conditions": 59}
    assert any(
        "a share of 59 conditions that are each held with 90.0% lies between" in note for note in made.summary["notes"]
    )
    first = anndata.read_h5ad(tmp_path / "out" / "split-0" / "rna.h5ad")
    learned = (first.obs["part"] == "train").to_numpy()
    assert np.isnan(first.layers["lower"][learned]).all()
    assert np.isfinite(first.layers["lower"][~learned]).all()
    facts = first.uns["wellstream"]["intervals"]
    assert (facts["method"], facts["rows"]) == ("jackknife+", 10 * 36)


def test_rows_of_other_data_get_intervals_of_all_splits_and_a_shift_is_seen(tmp_path: Path) -> None:
    known, other = predictions(tmp_path / "known", 0), predictions(tmp_path / "other", 7, shift=3.0)
    for file in other:
        data = anndata.read_h5ad(file)
        data.obs[SOURCE], data.obs["part"] = "p2", "unseen"
        data.write_h5ad(file)
    ws.intervals(known, tmp_path / "out", new=other)
    made = ws.evaluate([tmp_path / "out" / file.parent.name for file in other])
    (target,) = made.summary["coverage"]["targets"]
    assert target["new_plates"] == target["covered"] < 0.1
    assert target["known_plates"] is None


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    known = predictions(tmp_path / "known", 0, splits=2)
    with pytest.raises(ConfigError, match=r"interval: expected a share between 0 and 1, such as 0\.9, found 90"):
        ws.intervals(known, tmp_path / "out", level=90)
    with pytest.raises(InputError, match=r"is the only split of target 'rna'; give the predictions of several splits"):
        ws.intervals(known[:1], tmp_path / "out")
    with pytest.raises(InputError, match=r"are both of target 'rna' and split 0; give one"):
        ws.intervals(
            [known[0], *predictions(tmp_path / "again", 0, splits=1)[:1], known[1]], tmp_path / "out", new=known
        )
    with pytest.raises(InputError, match=r"needs 99 measured rows in the test part, found 36; ask for a lower level"):
        ws.intervals(known, tmp_path / "out", level=0.99)
    with pytest.raises(InputError, match=r"would be replaced by its copy with intervals"):
        ws.intervals(known, tmp_path / "known")
    more = predictions(tmp_path / "more", 0, splits=3)
    with pytest.raises(
        InputError, match=r"the new predictions are from the splits 0, 1, but the calibrating ones are from 0, 1, 2"
    ):
        ws.intervals(more, tmp_path / "out", new=known)
