"""Which values a kind of table may hold."""

from __future__ import annotations

from pathlib import Path

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
