"""Which values a kind of table may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, read_omics
from framework.errors import InputError


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("counts", "a count above 9,007,199,254,740,992 in line 3, gene 'g2' (1e+20)"),
        ("intensities", "a value above all that is measured in line 3, gene 'g2' (1e+20)"),
    ],
)
def test_values_that_nothing_has_are_refused(tmp_path: Path, kind: str, sentence: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text("Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,g1,g2\nR1,a,M1,1,0\nR1,b,M1,2,1e20\n")
    with pytest.raises(InputError) as caught:
        read_omics(OmicsConfig.from_plain({"name": "rna", "table": str(file), "kind": kind}))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("what", "kind"), [("sum", "counts"), ("mean", "intensities")])
def test_a_row_of_totals_is_no_sample(tmp_path: Path, what: str, kind: str) -> None:
    rows = [(3, 1, 4, 1, 5), (9, 2, 6, 5, 3), (5, 8, 9, 7, 9), (3, 2, 3, 8, 4)]
    totals = [sum(column) for column in zip(*rows, strict=True)]  # 20, 13, 22, 21, 21
    last = totals if what == "sum" else [total / 4 for total in totals]
    lines = ["Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,g1,g2,g3,g4,g5"]
    lines += [f"R1,{'abcd'[place]},M1,{','.join(map(str, row))}" for place, row in enumerate(rows)]
    file = tmp_path / "t.csv"
    config = OmicsConfig.from_plain({"name": "rna", "table": str(file), "kind": kind})
    file.write_text("\n".join(lines))
    assert len(read_omics(config).values) == 4
    file.write_text("\n".join([*lines, f"R1,Total,M1,{','.join(map(str, last))}"]))
    with pytest.raises(InputError, match=rf"t\.csv: line 6 is the {what} of all other rows"):
        read_omics(config)


@pytest.mark.parametrize(
    ("kind", "shift", "note"),
    [
        (
            "intensities",
            0.5,
            "no intensity is above 59.5, as of logarithms; if the values are some, write 'kind: log2'",
        ),
        ("intensities", 0, None),
        ("intensities", 70.5, None),
        ("log2", 0, "all values are whole numbers; if they are counts, write 'kind: counts'"),
        ("log2", 0.5, None),
        ("counts", 0, None),
        ("counts", None, "no count is above 1: is this a table of what was detected, and not of counts?"),
    ],
)
def test_values_that_look_like_another_kind_are_said(
    tmp_path: Path, kind: str, shift: float | None, note: str | None
) -> None:
    file = tmp_path / "t.csv"
    values = np.random.default_rng(0).permutation(60).reshape(5, 12) % (2 if shift is None else 60) + (shift or 0)
    frame = pd.DataFrame(values, columns=[f"g{number}" for number in range(12)])
    frame.insert(0, "Metadata_Perturbation", list("abcde"))
    frame.to_csv(file, index=False)
    config = OmicsConfig.from_plain({"name": "x", "table": str(file), "kind": kind, "stimulation": None, "plate": None})
    said = [one for one in read_omics(config).notes if "kind:" in one or "detected" in one]
    assert said == ([f"{file}: {note}"] if note else [])


def test_conditions_called_as_what_is_missing_are_said(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("Metadata_Perturbation,g1,g2\na,1,0\nNA,2,3\nNA,4,3\n")
    config = {"name": "x", "table": str(file), "kind": "counts", "stimulation": None, "plate": None}
    table = read_omics(OmicsConfig.from_plain(config))
    assert table.perturbation.tolist() == ["a", "NA", "NA"]
    assert any("Metadata_Perturbation: 2 rows are called 'NA', as programs write" in note for note in table.notes)
