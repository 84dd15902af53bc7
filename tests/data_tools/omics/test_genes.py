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
