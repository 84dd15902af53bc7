"""Tables of the dataset's sections."""

from __future__ import annotations

from framework.report.run.skipped import _label_table


def test_low_genes_are_shown_plate_by_plate() -> None:
    facts = {"bags": 6, "genes": 40, "dropped_genes": 3, "without_images": [["d", "M2"]], "without_omics": []}
    grid = _label_table({"rna_M1": {**facts, "low_on": {"R1": 1, "R2": 1200}}, "rna_M2": facts, "note": "text"})
    assert grid is not None
    first, second = grid.rows
    assert first == ("rna_M1", "6", "40", "3", "R1 1, R2 1\N{NARROW NO-BREAK SPACE}200", "1", "0")
    # A dataset that an older version made does not say it.
    assert second[4] == ""
    assert _label_table({"note": "text"}) is None
