"""Predictability across studies: what is drawn is the agreement of ranks with a table whose order is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.omics_predictions import true_r2
from scipy.stats import spearmanr

from framework.errors import InputError
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from framework.report.omics.gene_agreement import read_published
from wellstream import testing


def write_table(folder: Path) -> Path:
    """Write scores in the order of the truth, in the reverse order, and one that few genes have."""
    lines = ["symbol,cell_line,linear,reverse,few"]
    for place, score in enumerate(true_r2(30)):
        lines.append(f"g{place:02d},U2OS,{score:.3f},{1 - score:.3f},{'0.5' if place < 3 else ''}")
    lines.append("OTHER,U2OS,0.9,0.1,")
    file = folder / "published.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


class TestAgreement(testing.FigureContract):
    name = "omics_agreement"

    @pytest.fixture
    def inputs(self, scored: FigureInputs, tmp_path: Path) -> FigureInputs:
        return replace(scored, published=write_table(tmp_path))

    def test_the_order_of_the_truth_agrees_and_its_reverse_disagrees(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config(targets=("proteins_M1",), permutations=500)).draw(inputs)
        numbers = drawn.numbers.set_index("score")
        ours = inputs.genes[inputs.genes["target"] == "proteins_M1"].sort_values("gene")["r2"].to_numpy()
        assert numbers.loc["linear", "rho"] == pytest.approx(spearmanr(ours, true_r2(30)).statistic)
        assert numbers.loc["reverse", "rho"] == pytest.approx(-numbers.loc["linear", "rho"])
        assert numbers.loc["linear", "chance_low"] < 0 < numbers.loc["linear", "chance_high"] < 0.5
        assert numbers["shared"].tolist() == [30, 30]
        assert drawn.notes == (
            "proteins_M1, few: 3 genes have a score in both studies; expected 5 or more to compare their order",
        )


def test_a_gene_with_several_rows_counts_by_its_mean(tmp_path: Path) -> None:
    file = tmp_path / "table.tsv"
    file.write_text("Gene\tscore\nActb\t0.2\nACTB\t0.4\nGapdh\tNA\n")
    table = read_published(file, None, ())
    assert table["gene"].tolist() == ["ACTB", "GAPDH"]
    assert table["score"].iloc[0] == pytest.approx(0.3)
    assert np.isnan(table["score"].iloc[1])


def test_columns_that_are_not_there_are_sentences(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("name,score,text\nACTB,0.2,a\n")
    with pytest.raises(InputError, match=r"which column names the gene\? There are name, score, text; write gene=COL"):
        read_published(file, None, ())
    with pytest.raises(InputError, match=r"no column 'scor'; .*did you mean 'score'"):
        read_published(file, "name", ("scor",))
    with pytest.raises(InputError, match=r"column 'text' holds no number"):
        read_published(file, "name", ("text",))
