"""The section on embeddings says why its map is not a UMAP."""

from __future__ import annotations

from framework.report.run.embeddings import why_principal


def test_few_wells_are_told_apart_from_a_package_that_is_missing() -> None:
    few, many = why_principal(3), why_principal(16)
    assert few.text.endswith("UMAP compares each well with 15 others, and there are 3 wells.")
    assert not few.command
    assert "umap-learn is not installed" in many.text
    assert many.command == "pip install 'wellstream[analysis]'"
