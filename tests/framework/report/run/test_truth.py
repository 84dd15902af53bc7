"""The section about the truth of a simulated plate, on the page of a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from framework.errors import InputError
from framework.evaluate import read_evaluation
from framework.report import write_report
from framework.report.page import Grid, Note
from framework.report.page_inputs import read_inputs
from framework.report.run.truth import TruthSection


@pytest.fixture
def truth(world, tmp_path: Path) -> Path:
    """Half of the significant genes are strong, the others independent; what is not significant is weak."""
    genes = read_evaluation(world.omics).tables["per_gene"]
    significant = genes.loc[genes["significant"], "gene"].tolist()
    strong, false = significant[::2], significant[1::2]
    classes = ["strong" if gene in strong else "independent" if gene in false else "weak" for gene in genes["gene"]]
    table = pd.DataFrame({"gene": genes["gene"], "modality": "transcripts", "stimulation": "M1", "class": classes})
    table.to_parquet(tmp_path / "truth.parquet")
    return tmp_path / "truth.parquet"


def test_shares_stand_beside_what_is_true(world, truth: Path) -> None:
    section = TruthSection().build(read_inputs(world.run, None, world.omics, None, truth=truth))
    assert section is not None
    assert not isinstance(section, Note)
    by_class, _, by_target, note = section.blocks
    assert isinstance(by_class, Grid)
    assert [row[0] for row in by_class.rows] == ["strong", "weak", "independent"]
    known = pd.read_parquet(truth)["class"].value_counts()
    assert [row[3].split(" ")[0] for row in by_class.rows] == ["100.0%", "0.0%", "100.0%"]
    assert [int(row[2]) for row in by_class.rows] == [known[row[0]] for row in by_class.rows]
    assert by_class.headers[-1] == "significant, split 0"  # of the run's own config
    assert isinstance(by_target, Grid)
    assert by_target.rows[0][:2] == ("transcripts_M1", f"{known['strong']} of {known['strong']}")
    assert isinstance(note, Note)
    assert f"Independent genes that were called ({known['independent']}): " in note.text
    assert "missed" not in note.text


def test_the_page_shows_it_only_where_a_truth_was_given(world, truth: Path, tmp_path: Path) -> None:
    page = write_report(world.run, evaluation=world.omics, truth=truth, out=tmp_path / "with.html").read_text()
    assert 'id="truth"' in page
    bare = write_report(world.run, evaluation=world.omics, out=tmp_path / "without.html").read_text()
    assert "simulat" not in bare.split("<body")[1]
    alone = write_report(world.run, truth=truth, out=tmp_path / "alone.html").read_text()
    assert "it is compared with an evaluation of genes, and none was given" in alone


def test_a_truth_of_another_plate_is_refused(world, truth: Path, tmp_path: Path) -> None:
    pd.read_parquet(truth).assign(stimulation="M9").to_parquet(truth)
    with pytest.raises(InputError, match="has none of the genes that were evaluated"):
        write_report(world.run, evaluation=world.omics, truth=truth, out=tmp_path / "p.html")
