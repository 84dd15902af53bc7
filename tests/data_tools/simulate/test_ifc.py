"""The simulated pair of experiments: equal bytes, true tables, images and genes that follow what the truth says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import tifffile

from data_tools.readers.cells.ideas import IdeasConfig, IdeasReader
from data_tools.readers.tables.ideas import FeaturesConfig, read_features
from data_tools.simulate import IfcConfig, IfcSummary, PlateConfig, simulate_ifc
from data_tools.simulate.folder import claim
from data_tools.simulate.ifc_cells import LOOKS, draw_cells, level_moments
from data_tools.simulate.ifc_config import PopulationConfig
from data_tools.simulate.ifc_expression import INDEPENDENT, ExpressionModel, draw_counts
from data_tools.simulate.ifc_images import photograph_cell
from data_tools.simulate.streams import Stream
from framework.config import parse_config
from framework.errors import ConfigError, InputError

SMALL = IfcConfig(cells=150, sequenced_cells=200, genes=120, foreign_cells=10, foreign_genes=20)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> IfcSummary:
    return simulate_ifc(SMALL, tmp_path_factory.mktemp("ifc") / "out")


def test_equal_configs_give_equal_bytes_and_another_seed_others(small: IfcSummary, tmp_path: Path) -> None:
    first = digests(small.out)
    assert digests(simulate_ifc(SMALL, tmp_path / "a").out) == first
    other = digests(simulate_ifc(SMALL.model_copy(update={"seed": 1}), tmp_path / "b").out)
    assert {name for name in first if first[name] == other.get(name)} == set()


def test_a_folder_of_another_simulation_is_refused(small: IfcSummary, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"another config \(differs in informative"):
        simulate_ifc(SMALL.model_copy(update={"informative": 0.1}), small.out)
    claim(tmp_path / "plate", PlateConfig())
    with pytest.raises(InputError, match="this version cannot read"):
        simulate_ifc(SMALL, tmp_path / "plate")


def test_the_readers_of_real_exports_read_it(small: IfcSummary) -> None:
    reader = IdeasReader(IdeasConfig(path=str(small.out / "images"), channel_names={"Ch1": "BF", "Ch2": "CD34"}))
    listing = reader.survey(("BF", "CD34", "Ch3", "Ch6"))
    assert listing.cells["Metadata_Cell"].tolist() == [str(number) for number in range(150)]
    assert listing.problems == ()
    cells = list(reader.read(listing.places, ("BF",)))
    assert len({cell.pixels[0].shape for cell in cells}) > 20  # type: ignore[union-attr]
    features = read_features(FeaturesConfig(path=str(small.out / "features.txt")))
    assert features.column("Object Number").tolist() == [str(number) for number in range(150)]


def test_stock_tifffile_reads_the_images(small: IfcSummary) -> None:
    image = tifffile.imread(small.out / "images" / "SIM_3_Ch1.ome.tif")
    assert image.dtype == np.uint16
    assert 600 < np.median(image) < 900


def test_measured_stains_follow_the_true_levels(small: IfcSummary) -> None:
    truth = pd.read_parquet(small.out / "truth_cells.parquet")
    features = read_features(FeaturesConfig(path=str(small.out / "features.txt")))
    for marker, column in (("CD34", "Intensity_MC_Ch02"), ("FcgR", "Intensity_MC_Ch03")):
        measured = np.log10(features.numbers(column).clip(lower=1))
        assert np.corrcoef(measured, truth[f"level_{marker}"])[0, 1] > 0.95
    assert np.corrcoef(features.numbers("Area_M01"), truth["look_size"])[0, 1] > 0.9


def test_tables_of_sequencing_and_their_truth_agree(small: IfcSummary) -> None:
    rna = pd.read_csv(small.out / "citeseq" / "rna_umi.csv.gz", index_col=0)
    adt = pd.read_csv(small.out / "citeseq" / "adt_umi.csv.gz", index_col=0)
    truth = pd.read_parquet(small.out / "truth_sequenced.parquet")
    assert rna.shape == (140, 210)
    assert rna.columns.tolist() == adt.columns.tolist() == truth["barcode"].tolist()
    assert adt.index.tolist() == ["CD34", "FcgR", "PROT1", "PROT2", "PROT3"]
    human = rna.index.str.startswith("HUMAN_")
    more_human = (rna[human] > 0).sum().to_numpy() > (rna[~human] > 0).sum().to_numpy()
    np.testing.assert_array_equal(more_human, (truth["species"] == "human").to_numpy())
    of_human = truth["species"] == "human"
    tags = np.log10(adt.loc["FcgR"].to_numpy()[of_human] + 1)
    assert np.corrcoef(tags, truth["level_FcgR"][of_human])[0, 1] > 0.9
    assert truth.loc[~of_human, "population"].isna().all()


def test_truth_of_genes_and_of_expression_speak_of_the_same_genes(small: IfcSummary) -> None:
    genes = pd.read_parquet(small.out / "truth_genes.parquet")
    expression = anndata.read_h5ad(small.out / "truth_expression.h5ad")
    assert expression.var_names.tolist() == genes["gene"].tolist()
    assert expression.shape == (150, 120)
    assert genes["class"].value_counts().to_dict() == {"independent": 66, "marker": 36, "population": 18}
    independent = genes["class"] == INDEPENDENT
    assert (genes.loc[independent, "strength"] == 0).all()
    assert (genes.loc[~independent, "strength"] > 0).all()
    assert expression.layers["counts"].sum() == pytest.approx(expression.X.sum(), rel=0.1)


def test_counts_have_the_mean_and_variance_of_the_negative_binomial() -> None:
    config = IfcConfig(cells=1, genes=3, foreign_cells=0, gene_noise=0.0, dependent_fraction=0, population_fraction=0)
    cells = draw_cells(config, 40_000, Stream.IFC_CELLS)
    model = ExpressionModel.draw(config)
    counts, mean = draw_counts(model, config, cells, Stream.IFC_CELLS)
    expected = np.exp(model.base)
    np.testing.assert_allclose(mean, np.broadcast_to(expected, mean.shape))
    depth, depth_squared = np.exp(0.25**2 / 2), np.exp(2 * 0.25**2)
    np.testing.assert_allclose(counts.mean(axis=0), expected * depth, rtol=0.05)
    second = expected**2 * depth_squared * (1 + model.dispersion)
    np.testing.assert_allclose(counts.var(axis=0), expected * depth + second - (expected * depth) ** 2, rtol=0.1)
    assert not any(name.startswith("HUMAN_") for name in model.names)


@pytest.mark.parametrize("informative", [0.0, 0.5, 1.0])
def test_looks_are_explained_by_markers_as_much_as_asked(informative: float) -> None:
    config = IfcConfig(informative=informative)
    cells = draw_cells(config, 20_000, Stream.IFC_CELLS)
    assert cells.looks.std(axis=0) == pytest.approx(1.0, abs=0.1)
    explained = [np.corrcoef(cells.looks[:, number], cells.levels[:, number % 2])[0, 1] ** 2 for number in range(4)]
    assert explained == pytest.approx([informative] * 4, abs=0.05)


def test_level_moments_are_those_of_the_mixture() -> None:
    populations = {
        "a": PopulationConfig(share=1, levels={"M": 0.2}, spread=0.0),
        "b": PopulationConfig(share=3, levels={"M": 0.6}, spread=0.1),
    }
    mean, sd = level_moments(IfcConfig(markers=("M",), populations=populations))
    # mean 0.25 x 0.2 + 0.75 x 0.6; variance 0.25 x 0.09 + 0.75 x (0.01 + 0.01)
    assert mean[0] == pytest.approx(0.5)
    assert sd[0] ** 2 == pytest.approx(0.25 * 0.09 + 0.75 * 0.02)


def test_looks_are_seen_in_brightfield_and_levels_are_not() -> None:
    def image(size: float, level: float) -> tuple[int, np.ndarray, float]:
        looks = np.array([size, 0.0, 0.0, 0.0])
        view = photograph_cell(looks, np.array([level]), 10.0, 0.0, np.random.default_rng(3))
        return view.area_px, view.images[0], float(view.intensity[1])

    small, large = image(-2.0, 0.5), image(2.0, 0.5)
    assert large[0] > 1.5 * small[0]
    dim, bright = image(0.0, 0.1), image(0.0, 0.9)
    np.testing.assert_array_equal(dim[1], bright[1])
    assert bright[2] > 20 * dim[2]
    assert len(LOOKS) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("markers: [A, A]", "names 'A' twice"),
        ("markers: [Brightfield]", "must differ"),
        ("markers: [A]", r"'populations.CMP.levels' names CD34, FcgR; expected a level of each marker: A"),
        ("markers: [A]\npopulations: {p: {share: 1, levels: {A: 1.5}}}", r"populations.p.levels.A' must lie in 0 to 1"),
        ("dependent_fraction: 0.8\npopulation_fraction: 0.5", "more than 1"),
    ],
)
def test_contradictions_in_the_config(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(text, IfcConfig, "simulate.yaml")


def test_one_marker_and_no_other_species(tmp_path: Path) -> None:
    populations = {"p": PopulationConfig(share=1, levels={"A": 0.5})}
    config = IfcConfig(
        cells=3, sequenced_cells=4, markers=("A",), populations=populations, genes=5, foreign_cells=0, other_proteins=0
    )
    summary = simulate_ifc(config, tmp_path / "x")
    assert summary.n_images == 9
    assert sorted(file.name for file in (summary.out / "images").iterdir())[:3] == [
        "SIM_0_Ch1.ome.tif",
        "SIM_0_Ch2.ome.tif",
        "SIM_0_Ch6.ome.tif",
    ]
    assert pd.read_csv(summary.out / "citeseq" / "adt_umi.csv.gz", index_col=0).index.tolist() == ["A"]
