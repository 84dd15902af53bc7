from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.config import parse_config
from framework.data import split
from framework.data.format.schema import BAG, PERTURBATION, PLATE, SOURCE, WELL
from framework.data.split import SplitConfig
from framework.errors import ConfigError, RunError

GOLDEN = ["val", "test", "train", "test", "train", "test", "train", "val", "train", "train"]


def bags(values: list[object]) -> pd.DataFrame:
    n = len(values)
    wells = [f"A{i + 1:02d}" for i in range(n)]
    return pd.DataFrame({SOURCE: ["p"] * n, BAG: wells, PLATE: ["p"] * n, WELL: wells, PERTURBATION: values})


def test_fractions_count_values_not_bags() -> None:
    table = bags([f"P{i % 10}" for i in range(37)])
    parts = split.assign(table, SplitConfig(fractions=(0.7, 0.1, 0.2)))
    per_value = {v: set(parts[table[PERTURBATION] == v]) for v in set(table[PERTURBATION])}
    assert all(len(found) == 1 for found in per_value.values())
    assert Counter(found.pop() for found in per_value.values()) == {"train": 7, "val": 1, "test": 2}


@given(
    n=st.integers(3, 60), seed=st.integers(0, 1000), weights=st.tuples(*[st.integers(1, 9)] * 3), shuffle=st.randoms()
)
@settings(max_examples=60, deadline=None)
def test_the_order_of_bags_changes_nothing(n: int, seed: int, weights: tuple[int, ...], shuffle: object) -> None:
    a, b, c = (w / sum(weights) for w in weights)
    config = SplitConfig(fractions=(a, b, c), seed=seed)
    values = [f"v{i}" for i in range(n)]
    turned = list(values)
    shuffle.shuffle(turned)  # type: ignore[attr-defined]
    forward = dict(zip(values, split.assign(bags(list(values)), config), strict=True))
    assert dict(zip(turned, split.assign(bags(list(turned)), config), strict=True)) == forward
    counts = Counter(forward.values())
    assert set(counts) == {"train", "val", "test"}
    if n * min(a, b, c) >= 1:
        assert all(abs(counts[part] - n * f) < 1 for part, f in zip(split.PARTS, (a, b, c), strict=True))


def test_seeds_give_other_splits_and_splits_never_change() -> None:
    table = bags([f"P{i}" for i in range(10)])
    by_seed = [split.assign(table, SplitConfig(fractions=(0.5, 0.2, 0.3), seed=s)).tolist() for s in range(5)]
    assert len({tuple(parts) for parts in by_seed}) == 5
    assert by_seed[0] == GOLDEN


def test_few_values_still_fill_every_part() -> None:
    parts = split.assign(bags(["a", "b", "c"]), SplitConfig(fractions=(0.9, 0.05, 0.05)))
    assert sorted(parts) == ["test", "train", "val"]
    parts = split.assign(bags(["a", "b"]), SplitConfig(fractions=(0.8, 0.0, 0.2)))
    assert sorted(parts) == ["test", "train"]


def test_named_values_and_the_rest() -> None:
    table = bags(["a", "b", "c", None, "d", "a"])
    parts = split.assign(table, SplitConfig(val=("b",), test=("c",), unused=("d",)))
    assert parts.tolist() == ["train", "val", "test", "unused", "unused", "train"]
    wells = split.assign(table, SplitConfig(by=WELL, train=("A01", "A02"), test=("A03",), unused=("A04", "A05", "A06")))
    assert wells.tolist() == ["train", "train", "test", "unused", "unused", "unused"]


def test_numbers_are_named_as_they_are_written() -> None:
    table = bags([1.0, 2.0, np.nan, 2.5])
    parts = split.assign(table, SplitConfig(train=("1",), val=("2.5",), test=("2",)))
    assert parts.tolist() == ["train", "test", "unused", "val"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SplitConfig(by="Metadata_Perturbatio", fractions=(1, 0, 0)), "did you mean 'Metadata_Perturbation'?"),
        (SplitConfig(test=("dmos",)), "'dmos'; there is dmso, x, y; did you mean 'dmso'?"),
        (SplitConfig(val=("dmso",), test=("x", "y")), "none is left for train"),
        (SplitConfig(train=("dmso",), test=("x",)), "1 value(s) of Metadata_Perturbation are in no list, such as 'y'"),
        (SplitConfig(test=("x",), unused=("z",)), "split.unused: no bag has Metadata_Perturbation 'z'"),
        (SplitConfig(by=PLATE, fractions=(0.7, 0.1, 0.2)), "1 distinct value(s) of Metadata_Plate cannot fill 3 parts"),
    ],
)
def test_what_the_bags_cannot_give(config: SplitConfig, message: str) -> None:
    with pytest.raises(RunError) as error:
        split.assign(bags(["dmso", "x", "y"]), config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fractions: [0.7, 0.1, 0.1]", "three fractions >= 0 that sum to 1, found a sum of 0.9"),
        ("fractions: [1.2, -0.4, 0.2]", "three fractions >= 0 that sum to 1"),
        ("fractions: [0.0, 0.5, 0.5]", "expected a train fraction > 0"),
        ("train: [a, b]\ntest: [b]", "expected each value once, found 'b' named 2 times"),
        ("fractions: [0.7, 0.1, 0.2]\ntest: [b]", "either fractions or lists of values, found fractions and test"),
        ("by: Metadata_Plate", "expected fractions: [train, val, test], or lists of values"),
        ("train: []\ntest: [b]", "expected at least one value under train"),
    ],
)
def test_contradictions_in_a_config(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(text, SplitConfig)
    assert message in str(error.value)


def test_a_split_file_comes_back_and_is_matched_by_source_and_bag(tmp_path: Path) -> None:
    table = bags(["a, with comma", "b", None, "c"])
    parts = split.assign(table, SplitConfig(val=("b",), test=("c",)))
    split.write(tmp_path / "split.csv", table, parts)
    assert (tmp_path / "split.csv").read_text().splitlines()[:2] == [
        "source,bag_name,Metadata_Perturbation,part",
        'p,A01,"a, with comma",train',
    ]
    assert split.read(tmp_path / "split.csv", table).tolist() == parts.tolist()
    assert split.read(tmp_path / "split.csv", table.iloc[::-1]).tolist() == parts[::-1].tolist()


def test_a_split_file_may_name_plates_and_wells(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(f"{WELL},part,{PLATE}\nA02,test,p\nA01,train,p\n")
    assert split.read(file, bags(["a", "b"])).tolist() == ["train", "test"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["p,A01,a,train"], "1 of 2 bags are not listed, the first is 'A02' of 'p'"),
        (["p,A01,a,train", "p,A01,a,test"], "split.csv:3: bag 'A01' of 'p' is listed twice"),
        (["p,A01,a,learn"], "split.csv:2: expected one of train, val, test, unused, found 'learn'"),
    ],
)
def test_a_bad_split_file(tmp_path: Path, lines: list[str], message: str) -> None:
    file = tmp_path / "split.csv"
    file.write_text("\n".join([f"{PLATE},{WELL},{PERTURBATION},part", *lines]) + "\n")
    with pytest.raises(RunError) as error:
        split.read(file, bags(["a", "b"]))
    assert message in str(error.value)


def test_a_file_that_is_no_split(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name, sentence in (("other.csv", "not a split file"), ("missing.csv", "no such file; expected a split file")):
        with pytest.raises(RunError, match=sentence):
            split.read(tmp_path / name, bags(["a"]))


def test_values_that_must_not_be_on_both_sides_are_checked() -> None:
    """Fields of proteins: splitting by field puts a protein on both sides, which is right only where it is meant."""
    table = bags(["AAC1", "AAC1", "AAC3", "AAC3", None, None]).assign(field=["1", "2", "1", "3", "1", "2"])
    by_field = SplitConfig(by="field", train=("1", "3"), test=("2",))
    assert split.assign(table, by_field).tolist() == ["train", "test", "train", "train", "train", "test"]
    with pytest.raises(
        RunError, match=rf"split\.apart: {PERTURBATION} 'AAC1' lies in train and test, because bags are split by field"
    ):
        split.assign(table, by_field.model_copy(update={"apart": (PERTURBATION,)}))
    by_protein = SplitConfig(train=("AAC1",), test=("AAC3",), apart=(PERTURBATION,))
    assert split.assign(table, by_protein).tolist() == ["train", "train", "test", "test", "unused", "unused"]
    unused = SplitConfig(by="field", train=("1", "3"), unused=("2",), apart=(PERTURBATION,))
    assert split.assign(table, unused).tolist() == ["train", "unused", "train", "train", "train", "unused"]
    with pytest.raises(RunError, match=r"split\.apart: no bag column 'Protein'; expected one of"):
        split.assign(table, SplitConfig(by="field", train=("1", "2", "3"), apart=("Protein",)))


def test_bags_of_a_part_and_all_of_them() -> None:
    parts = np.asarray(["test", "train", "unused", "test"])
    assert split.bags_in(parts, "test").tolist() == [0, 3]
    assert split.bags_in(parts, "val").tolist() == []
    assert split.bags_in(parts, "all").tolist() == [0, 1, 2, 3]
    assert split.bags_in(parts, "all").dtype == np.int64


def test_facts_of_a_split_name_its_seed_only_where_it_decides() -> None:
    dealt = SplitConfig(fractions=(0.5, 0.25, 0.25), seed=3)
    assert dealt.facts() == {"by": PERTURBATION, "fractions": [0.5, 0.25, 0.25], "seed": 3}
    assert SplitConfig(by=WELL, test=("A01",), seed=3).facts() == {"by": WELL, "test": ["A01"]}
