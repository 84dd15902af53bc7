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

    def test_a_score_may_be_called_as_one_of_ours_or_as_the_genes(self, inputs: FigureInputs, tmp_path: Path) -> None:
        """A table with a column ``r2`` ended in a KeyError; one with numbers of genes was joined by these."""
        entry = FIGURES.get(self.name)
        file = tmp_path / "named.csv"
        lines = [f"g{place:02d},{score:.3f},{place}" for place, score in enumerate(true_r2(30))]
        file.write_text("\n".join(["symbol,r2,gene", *lines]) + "\n")
        given = replace(inputs, published=file)
        drawn = entry.build(entry.config(targets=("proteins_M1",), permutations=500, gene="symbol")).draw(given)
        numbers = drawn.numbers.set_index("score")
        ours = inputs.genes[inputs.genes["target"] == "proteins_M1"].sort_values("gene")["r2"].to_numpy()
        assert numbers.loc["r2", "rho"] == pytest.approx(spearmanr(ours, true_r2(30)).statistic)
        assert numbers.loc["gene", "rho"] == pytest.approx(spearmanr(ours, np.arange(30)).statistic)
        assert numbers["shared"].tolist() == [30, 30]

    def test_numbers_stand_above_the_dots(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config(targets=("proteins_M1",), permutations=500)).draw(inputs)
        texts = [text for panel in drawn.canvas.axes for text in panel.texts]
        assert [text.get_text().startswith("rho ") for text in texts] == [True, True]
        assert all(text.xy[1] > 1 for text in texts)

    def test_spearman_of_a_table_of_haghighi_2022_is_that_of_pencil_and_paper(
        self, inputs: FigureInputs, tmp_path: Path
    ) -> None:
        ours = inputs.genes[inputs.genes["target"] == "proteins_M1"].sort_values("r2", ascending=False)["gene"].tolist()
        # Ranks 1 to 6 here are 2, 1, 3, 4, 6, 5 there: the squares of the differences sum to 4, and
        # rho = 1 - 6 x 4 / (6 x 35) = 31 / 35. The other column has them in reverse: rho = -1.
        file = haghighi(tmp_path, dict(zip(ours[:6], (60.5, 71.2, 40.0, 12.75, -9.1, -2.0), strict=True)))
        entry = FIGURES.get(self.name)
        inputs = replace(inputs, published=file)
        drawn = entry.build(entry.config(targets=("proteins_M1",), permutations=500)).draw(inputs)
        numbers = drawn.numbers.set_index("score")
        assert numbers.loc["LUAD-MLP", "rho"] == pytest.approx(31 / 35)
        assert numbers.loc["LINCS-Lasso", "rho"] == pytest.approx(-1)
        assert numbers["shared"].tolist() == [6, 6]
        assert drawn.notes[0].startswith("proteins_M1, CDRP-bio-Lasso: 2 genes have a score in both studies")


def haghighi(folder: Path, luad: dict[str, float]) -> Path:
    """Write a table laid out as ``supplementary_D.csv``: no name above the genes, a column per data set and model."""
    lines = [",CDRP-bio-Lasso,LUAD-MLP,LINCS-Lasso"]
    for place, (gene, score) in enumerate(luad.items()):
        lines.append(f"{gene},{'' if place > 1 else 5.0 - place},{score},{float(place)}")
    file = folder / "supplementary_D.csv"
    file.write_text("\n".join([*lines, "NOT-HERE,1.0,2.0,3.0"]) + "\n")
    return file


def test_the_row_names_of_a_table_are_its_genes_and_a_probe_of_several_counts_for_each(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(",LUAD-MLP\nCALM1///CALM2,32.71\nAARS1,63.98\nCALM2,30.71\n")
    table = read_published(file, None, ())
    assert table.index.tolist() == ["AARS1", "CALM1", "CALM2"]
    assert table["LUAD-MLP"].tolist() == pytest.approx([63.98, 32.71, (32.71 + 30.71) / 2])
    file.write_text(",score\n0,0.5\n1,0.25\n")
    with pytest.raises(InputError, match=r"not clear which column names the gene; it has score; write gene=COLUMN"):
        read_published(file, None, ())


def test_a_gene_with_several_rows_counts_by_its_mean(tmp_path: Path) -> None:
    file = tmp_path / "table.tsv"
    file.write_text("Gene\tscore\nActb\t0.2\nACTB\t0.4\nGapdh\tNA\n")
    table = read_published(file, None, ())
    assert table.index.tolist() == ["ACTB", "GAPDH"]
    assert table["score"].iloc[0] == pytest.approx(0.3)
    assert np.isnan(table["score"].iloc[1])


def test_columns_that_are_not_there_are_sentences(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("name,score,text\nACTB,0.2,a\n")
    with pytest.raises(
        InputError, match=r"not clear which column names the gene; it has name, score, text; write gene=COL"
    ):
        read_published(file, None, ())
    with pytest.raises(InputError, match=r"no column 'scor'; .*did you mean 'score'"):
        read_published(file, "name", ("scor",))
    with pytest.raises(InputError, match=r"line 2: column 'text' reads 'a', expected a number"):
        read_published(file, "name", ("text",))


def test_scores_with_decimal_commas_are_read_and_text_among_them_is_named(tmp_path: Path) -> None:
    """Both were dropped without a word before."""
    file = tmp_path / "table.csv"
    file.write_text("gene;score;note\nACTB;0,5;a\nGAPDH;1;b\nTUBB;-;c\n")
    for scores in ((), ("score",)):
        table = read_published(file, None, scores)
        assert table.columns.tolist() == ["score"]
        assert table["score"].tolist()[:2] == [0.5, 1]
        assert np.isnan(table["score"].iloc[2])
    file.write_text("gene,score\nACTB,0.5\nGAPDH,<0.01\n")
    with pytest.raises(InputError, match=r"line 3: column 'score' reads '<0\.01', expected a number"):
        read_published(file, None, ("score",))
