"""Facts of samples, and what is said where one is missing or of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, OmicsTable, read_omics
from framework.config import parse_config
from framework.errors import ConfigError, InputError

FRAME = pd.DataFrame(
    {
        "sample": ["s2", "s1", "s3"],
        "Metadata_Plate": ["R1", "R1", "R2"],
        "Metadata_Perturbation": ["a", "b", "a"],
        "Metadata_Stimulation": ["M1", "M1", "M2"],
        "operator": ["x", "y", "x"],
        "g1": [1, 2, 3],
        "g2": [0, 5, 7],
    }
)


def _read(file: Path, **changes: Any) -> OmicsTable:
    return read_omics(OmicsConfig.from_plain({"name": "rna", "table": str(file), "kind": "counts", **changes}))


def test_covariates_are_numbers_and_batches_are_text(tmp_path: Path) -> None:
    frame = FRAME.assign(RIN=["8,5", "9", "7,25"], run=[1, 2, 1])
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    table = _read(tmp_path / "t.csv", covariates=["RIN"], batches=["run"])
    assert table.covariates["RIN"].tolist() == [8.5, 9, 7.25]
    assert {name: levels.tolist() for name, levels in table.batches.items()} == {
        "Metadata_Plate": ["R1", "R1", "R2"],
        "run": ["1", "2", "1"],
    }
    assert table.genes == ("g1", "g2")
    with pytest.raises(InputError, match=r"line 2 has 'x' as 'operator', expected a number .* name the column in 'bat"):
        _read(tmp_path / "t.csv", covariates=["operator"], facts=["RIN", "run"])
    with pytest.raises(InputError, match=r"no column 'rin' for 'omics\.covariates'.*did you mean 'RIN'"):
        _read(tmp_path / "t.csv", covariates=["rin"], facts=["RIN", "run"])
    with pytest.raises(ConfigError, match="'batches' names 'Metadata_Plate', which is named already"):
        parse_config("name: a\ntable: t\nkind: counts\nbatches: [Metadata_Plate]\n", OmicsConfig, "c.yaml")


def test_zeros_among_intensities_are_counted(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    said = f"{tmp_path / 't.csv'}: 1 of 6 intensities are 0 and count as not measured"
    assert said in _read(tmp_path / "t.csv", kind="intensities").notes
    assert not any("count as not measured" in note for note in _read(tmp_path / "t.csv").notes)
