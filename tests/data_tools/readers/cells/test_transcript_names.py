"""Names of cells and genes as programs change them: none of them becomes a cell or a gene."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from data_tools.readers.cells.transcript_table import TranscriptColumns, Transcripts, read_transcripts
from data_tools.readers.cells.transcripts import TranscriptsConfig
from framework.errors import InputError


def _read(file: Path, cells: list[str], genes: list[str], nucleus: str = "1") -> Transcripts:
    """Read a table as Xenium writes it, with the usual patterns."""
    columns = {"cell_id": cells, "feature_name": genes, "x_location": 1.5, "y_location": 2.5, "qv": 40}
    frame = pd.DataFrame(columns).assign(overlaps_nucleus=nucleus)
    frame.to_parquet(file) if file.suffix == ".bin" else frame.to_csv(file, index=False)
    usual = TranscriptsConfig.model_fields
    return read_transcripts(
        str(file),
        TranscriptColumns(),
        no_cell=usual["no_cell"].default,
        not_genes=usual["not_genes"].default,
        min_quality=20,
    )


@pytest.mark.parametrize("outside", ["-1", "-1.0", "0.0", "unassigned", "NA", "nan", "None", ""])
def test_transcripts_in_no_cell_do_not_become_one(tmp_path: Path, outside: str) -> None:
    """pandas writes numbers beside a missing one as 7.0, and -1 as -1.0."""
    found = _read(tmp_path / "t.csv", [outside, outside, "7.0", "7"], ["A", "B", "A", "B"], "1.0")
    assert (found.cells, found.genes, found.counts().tolist()) == (["7"], ["A", "B"], [[1, 1]])
    assert found.nucleus.all()
    assert "2 of 4 rows are used; left out: 2 in no cell" in found.notes[1]


def test_a_transcript_without_a_gene_is_left_out_and_said(tmp_path: Path) -> None:
    found = _read(tmp_path / "t.csv", ["a", "a", "a"], ["", "NA", "nan"])
    assert found.genes == ["NA", "nan"], "names of genes stay text"
    assert "0 of 0 controls, 1 without a gene, 0 below the quality 20" in found.notes[1]


@pytest.mark.parametrize("name", ["1.23E+18", "1.2345678901234568e+18", "1E+18"])
def test_numbers_that_lost_digits_name_no_cell(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="1 cells are called as numbers that lost digits, as '1"):
        _read(tmp_path / "t.csv", [name, name, "8"], ["A", "B", "A"])
    assert _read(tmp_path / "u.csv", ["1e5", "5E3"], ["A", "B"]).cells == ["1e5", "5E3"], "names in base 16"


def test_parquet_is_known_by_its_bytes(tmp_path: Path) -> None:
    assert _read(tmp_path / "t.bin", ["a", "b"], ["A", "B"]).cells == ["a", "b"]
