"""Places and sets of genes: both forms of the table, damaged files, and the figures drawn from them, of known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.omics_predictions import write_predictions

from framework.errors import InputError
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from framework.report.omics.annotations import read_gene_sets, read_locations, symbols_of
from wellstream import testing

GENES = [f"G{number:03d}" for number in range(120)]
OLD = "Gene\tGene name\tReliability\tEnhanced\tSupported\tApproved\tUncertain\n"


def write_annotations(folder: Path) -> tuple[Path, Path]:
    """The Golgi apparatus has the last 40 genes, the cytosol the first 80, vesicles the middle; one set is double."""
    lines = [OLD]
    for number, gene in enumerate(GENES):
        place = "Cytosol" if number < 40 else "Vesicles;Cytosol" if number < 80 else "Golgi apparatus"
        lines.append(f"ENSG{number:011d}\t{gene}\tApproved\t\t\t{place}\t\n")
    lines.append("ENSG99999999999\tOTHER\tEnhanced\tNucleoplasm\t\t\t\n")
    locations, pathways = folder / "subcellular_location.tsv", folder / "sets.gmt"
    locations.write_text("".join(lines))
    every_third = [gene for number, gene in enumerate(GENES) if number % 3 == 0]
    sets = {"Even": every_third, "Twin": every_third, "Small": GENES[:5], "Odd": GENES[1::7]}
    pathways.write_text("".join(f"{name}\tR-1\t" + "\t".join(genes) + "\n" for name, genes in sets.items()))
    return locations, pathways


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> FigureInputs:
    folder = tmp_path_factory.mktemp("annotated")
    locations, pathways = write_annotations(folder)
    # Abundance falls while r2 grows, and Even genes are better than their place says.
    r2 = np.linspace(0.05, 0.75, 120)
    r2[::3] += 0.2
    files = write_predictions(folder / "p", GENES, ("rna_M1", "rna_M2"), splits=1, wells=240, r2=r2)
    return FigureInputs(predictions=files, locations=locations, pathways=pathways)


class TestLocations(testing.FigureContract):
    name = "omics_locations"

    @pytest.fixture
    def inputs(self, inputs: FigureInputs) -> FigureInputs:
        return inputs

    def test_locations_stand_from_least_to_best_predicted(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config()).draw(inputs)
        of_m1 = drawn.numbers[drawn.numbers["target"] == "rna_M1"]
        assert of_m1["location"].unique().tolist() == ["Cytosol", "Vesicles", "Golgi apparatus"]
        assert of_m1.groupby("location").size().to_dict() == {"Cytosol": 80, "Golgi apparatus": 40, "Vesicles": 40}
        assert drawn.notes[0] == "rna_M1: 120 of 120 genes have a location of this reliability"
        two = entry.build(entry.config(top=2)).draw(inputs).numbers
        assert two["location"].unique().tolist() == ["Cytosol", "Golgi apparatus"]
        assert two[two["target"] == "rna_M1"]["r2"].tolist() == pytest.approx(
            [inputs.genes.set_index(["target", "gene"])["r2"][("rna_M1", gene)] for gene in [*GENES[:80], *GENES[80:]]]
        )

    def test_genes_that_nobody_knows_are_said(self, inputs: FigureInputs, tmp_path: Path) -> None:
        files = write_predictions(tmp_path, ["X1", "X2"], ("rna_M1",), splits=1)
        entry = FIGURES.get(self.name)
        with pytest.raises(InputError, match=r"no predicted gene \(X1, X2 \.\.\.\) has a location"):
            entry.build(entry.config()).draw(FigureInputs(predictions=files, locations=inputs.locations))


class TestPredictors(testing.FigureContract):
    name = "omics_predictors"

    @pytest.fixture
    def inputs(self, inputs: FigureInputs) -> FigureInputs:
        return inputs

    def test_the_model_finds_what_was_put_in(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config()).draw(inputs)
        terms = drawn.numbers[drawn.numbers["target"] == "rna_M1"].set_index("term")
        assert set(terms.index) == {"Even = Twin", "Odd", "Golgi apparatus", "Vesicles"}, (
            "a constant abundance has no beta"
        )
        assert terms.loc["Even = Twin", "beta"] == pytest.approx(0.2, abs=0.06)
        assert terms.loc["Even = Twin", "p"] < 1e-6
        assert terms.loc["Odd", "p"] > 0.05
        assert terms.loc["Golgi apparatus", "beta"] > terms.loc["Vesicles", "beta"] > 0.1
        assert "2 pathways and 3 locations have at least 11" in drawn.notes[0]
        assert terms["kind"].to_dict()["Odd"] == "pathway"


def test_both_forms_of_the_table_are_read(tmp_path: Path) -> None:
    new = tmp_path / "new.tsv"
    new.write_text(
        "Gene\tGene name\tReliability\tMain location\tAdditional location\n"
        "ENSG1\tA\tApproved\tCytosol; Vesicles\tGolgi\nENSG2\tB\tEnhanced\tNuclei\t\nENSG3\tC\tApproved\t\t\n"
    )
    assert read_locations(new, ("Approved",))[["gene", "location"]].to_numpy().tolist() == [
        ["A", "Cytosol"],
        ["A", "Vesicles"],
    ]
    both = read_locations(new, ("Approved", "Enhanced"))
    assert both["gene"].tolist() == ["A", "A", "B"]
    assert symbols_of(["ENSG2.7", "B", "ENSG9"], both) == {"ENSG2.7": "B", "B": "B", "ENSG9": "ENSG9"}
    with pytest.raises(InputError, match=r"no reliability 'Aproved'.*did you mean 'Approved'"):
        read_locations(new, ("Aproved",))
    with pytest.raises(InputError, match="no gene has a location of reliability Uncertain"):
        read_locations(new, ("Uncertain",))
    (tmp_path / "other.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"other\.tsv: no column 'Reliability'"):
        read_locations(tmp_path / "other.tsv", ("Approved",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Set\tsource\n", "line 1: expected a name, a source and genes"),
        ("Set\tsource\tA\n\nSet\tsource\tB\n", "line 3: the set 'Set' appears twice"),
        ("\n\n", "no gene set in this file"),
    ],
)
def test_a_damaged_gene_set_is_named_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "sets.gmt").write_text(text)
    with pytest.raises(InputError, match=said):
        read_gene_sets(tmp_path / "sets.gmt")


@pytest.mark.real_data
def test_the_tables_of_the_atlas_and_of_reactome_are_read(real_data: Path) -> None:
    folder = real_data / "gene-annotations"
    places = read_locations(folder / "subcellular_location.tsv", ("Approved",))
    assert places["gene"].nunique() == 6007
    assert places["location"].value_counts().index[0] == "Cytosol"
    sets = read_gene_sets(folder / "ReactomePathways.gmt")
    assert len(sets) == 2546
    assert {"WARS1", "WARS"} & sets["tRNA Aminoacylation"]
