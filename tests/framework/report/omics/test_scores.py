"""Figures 2 and 3 and Tables 1 to 4: what is drawn is what the evaluation found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.omics_predictions import TARGETS, true_r2, write_predictions

from framework.errors import InputError
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from framework.report.omics.panels import layout_of, spoken
from wellstream import testing


def drawn(name: str, inputs: FigureInputs, **options: object) -> Drawn:
    entry = FIGURES.get(name)
    found = entry.build(entry.config(**options)).draw(inputs)
    assert isinstance(found, Drawn)
    return found


GENES_OF_ONE = tuple(f"G{number:02d}" for number in range(30))


class TestR2(testing.FigureContract):
    name = "omics_r2"

    @pytest.fixture
    def inputs(self, scored: FigureInputs) -> FigureInputs:
        return scored

    def test_genes_have_the_r2_they_were_made_with(self, scored: FigureInputs) -> None:
        numbers = drawn("omics_r2", scored).numbers
        assert len(numbers) == 4 * 30
        found = numbers.groupby("gene")["r2"].mean().sort_index().to_numpy()
        assert np.corrcoef(found, true_r2(30))[0, 1] > 0.98
        assert abs(found - true_r2(30)).max() < 0.15


class TestShares(testing.FigureContract):
    name = "omics_shares"

    @pytest.fixture
    def inputs(self, scored: FigureInputs) -> FigureInputs:
        return scored

    def test_parts_add_up_to_all_genes_and_the_ring_is_labelled(self, scored: FigureInputs) -> None:
        figure = drawn("omics_shares", scored)
        assert list(figure.numbers["target"].unique()) == list(TARGETS), "transcripts stand above proteins"
        assert figure.numbers.groupby("target")["genes"].sum().tolist() == [30] * 4
        assert figure.numbers.groupby("target")["percent"].sum().tolist() == pytest.approx([100.0] * 4)
        titles = [axes.get_title("center") for axes in figure.canvas.axes]
        significant = figure.numbers[figure.numbers["part"] == "significant"]["genes"].tolist()
        assert titles == [f"{spoken(name)}\n{n} of 30" for name, n in zip(TARGETS, significant, strict=True)]


class TestRanks(testing.FigureContract):
    name = "omics_ranks"

    @pytest.fixture
    def inputs(self, scored: FigureInputs) -> FigureInputs:
        return scored

    def test_best_first_and_worst_first(self, scored: FigureInputs) -> None:
        numbers = drawn("omics_ranks", scored, targets=("proteins_M1",), count=3).numbers
        genes = scored.genes[(scored.genes["target"] == "proteins_M1")]
        known = genes[genes["significant"] & genes["regression_significant"]].sort_values("r2")
        assert numbers["gene"].tolist() == [*known["gene"][::-1][:3], *known["gene"][:3]]
        assert numbers["half"].tolist() == ["top"] * 3 + ["bottom"] * 3

    def test_one_split_has_no_interval(self, scored: FigureInputs, tmp_path: Path) -> None:
        several = drawn("omics_ranks", scored)
        one = drawn("omics_ranks", FigureInputs(predictions=write_predictions(tmp_path, GENES_OF_ONE, splits=1)))
        told = [{text.get_text() for text in each.canvas.axes[0].texts} for each in (several, one)]
        assert "r² (95 % CI)" in told[0]
        assert "r²" in told[1]
        assert not any("(" in text for text in told[1])
        assert "of one split, so without intervals" in one.caption

    def test_a_target_that_there_is_not_is_refused_with_the_nearest(self, scored: FigureInputs) -> None:
        with pytest.raises(InputError, match=r"no target is called 'protein_M1'.*did you mean 'proteins_M1'"):
            drawn("omics_ranks", scored, targets=("protein_M1",))


def test_modalities_stand_in_rows_and_states_in_columns() -> None:
    assert layout_of(TARGETS).places["proteins_M2"] == (1, 1)
    assert layout_of(("a_M1", "b_M2", "c_M3")).places == {"a_M1": (0, 0), "b_M2": (0, 1), "c_M3": (1, 0)}
    assert (layout_of(("rna",)).rows, layout_of(("rna",)).columns) == (1, 1)
