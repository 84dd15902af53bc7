"""Facts of samples, and what is said where one is missing or of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.omics_frame import FRAME, read_counts

from data_tools.omics import OmicsConfig
from framework.config import parse_config
from framework.errors import ConfigError, InputError


def test_covariates_are_numbers_and_batches_are_text(tmp_path: Path) -> None:
    frame = FRAME.assign(RIN=["8,5", "9", "7,25"], run=[1, 2, 1])
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    table = read_counts(tmp_path / "t.csv", covariates=["RIN"], batches=["run"])
    assert table.covariates["RIN"].tolist() == [8.5, 9, 7.25]
    assert {name: levels.tolist() for name, levels in table.batches.items()} == {
        "Metadata_Plate": ["R1", "R1", "R2"],
        "run": ["1", "2", "1"],
    }
    assert table.genes == ("g1", "g2")
    with pytest.raises(InputError, match=r"line 2 has 'x' as 'operator', expected a number .* name the column in 'bat"):
        read_counts(tmp_path / "t.csv", covariates=["operator"], facts=["RIN", "run"])
    with pytest.raises(InputError, match=r"no column 'rin' for 'omics\.covariates'.*did you mean 'RIN'"):
        read_counts(tmp_path / "t.csv", covariates=["rin"], facts=["RIN", "run"])
    with pytest.raises(ConfigError, match="'batches' names 'Metadata_Plate', which is named already"):
        parse_config("name: a\ntable: t\nkind: counts\nbatches: [Metadata_Plate]\n", OmicsConfig, "c.yaml")


def test_zeros_among_intensities_are_counted(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    said = f"{tmp_path / 't.csv'}: 1 of 6 intensities are 0 and count as not measured"
    assert said in read_counts(tmp_path / "t.csv", kind="intensities").notes
    assert not any("count as not measured" in note for note in read_counts(tmp_path / "t.csv").notes)
