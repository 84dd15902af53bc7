from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from framework.data.format.schema import ChannelStatistics
from framework.report.canvas import figure, rendered, uri
from framework.report.figures.embedding import Colouring, embedding_map, principal, project
from framework.report.figures.images import channel_colours, composite, flat_fields
from framework.report.page import Picture, Section, render_page
from framework.report.run.figures_markers import marker_bars, marker_scatters
from framework.report.run.figures_omics import error_scatter, r2_violins, share_bars
from framework.report.run.figures_plate import plate_map, plate_shape, well_position
from framework.report.run.figures_training import loss_curve, throughput


def decoded(picture: Picture) -> bytes:
    return base64.b64decode(picture.source.split(",", 1)[1])


def pixels(picture: Picture) -> np.ndarray:
    assert picture.source.startswith("data:image/png;base64,")
    return imread(io.BytesIO(decoded(picture)))


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("A01", (0, 0)),
        ("A1", (0, 0)),
        ("P24", (15, 23)),
        ("AF48", (31, 47)),
        ("A00", None),
        ("sample1", None),
        ("", None),
    ],
)
def test_well_positions(name: str, position: tuple[int, int] | None) -> None:
    assert well_position(name) == position


@pytest.mark.parametrize(
    ("corner", "shape"),
    [((0, 0), (8, 12)), ((7, 11), (8, 12)), ((8, 0), (16, 24)), ((0, 12), (16, 24)), ((31, 47), (32, 48))],
)
def test_the_smallest_plate_that_fits(corner: tuple[int, int], shape: tuple[int, int]) -> None:
    assert plate_shape([corner]) == shape


def test_samples_without_a_plate_have_no_map() -> None:
    assert plate_map({"P": {"sample1": 1.0}}, "tiles", "") is None
    picture = plate_map({"P": {"A01": 1.0, "H12": np.nan}}, "tiles", "")
    assert picture is not None
    assert "1 to 1" in picture.alt


def test_names_with_dollars_are_not_formulas() -> None:
    picture = plate_map({"$\\bad{$": {"A01": 1.0}}, "tiles", "")
    assert picture is not None
    assert picture.source.startswith("data:image/svg+xml;base64,")


def test_drawing_leaves_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    first = loss_curve(pd.Series([3.0, 2.0], index=[0, 1]), pd.Series([2.5], index=[1]))
    again = loss_curve(pd.Series([3.0, 2.0], index=[0, 1]), pd.Series([2.5], index=[1]))
    assert first == again
    assert dict(mpl.rcParams) == before
    assert b"<dc:date>" not in decoded(first)
    assert "best 2.5" in first.alt


def test_losses_that_were_not_logged() -> None:
    empty = pd.Series(dtype=float)
    assert "not logged" in loss_curve(empty, empty).alt
    assert throughput({"tiles per second": empty}) is None


def test_composite_by_hand() -> None:
    flat = {"0.1": 0.0, "5": 0.0, "25": 0.0, "50": 0.0, "75": 0.0, "95": 0.0, "99": 0.0}
    statistics = {
        "DAPI": ChannelStatistics(
            mean=0, sd=1, percentiles=dict.fromkeys(flat, 10.0) | {"0.1": 0.0, "1": 10.0, "99.9": 110.0}
        ),
        "Actin": ChannelStatistics(mean=0, sd=1, percentiles=flat | {"1": 0.0, "99.9": 100.0}),
    }
    assert [name for name, _ in channel_colours(("DAPI", "Actin"))] == ["blue", "green"]
    ifc = ("Brightfield", "CD34", "BF2", "Darkfield", "DIC", "Phase contrast", "Subfield")
    named = ["grey", "green", "grey", "red", "grey", "grey", "yellow"]
    assert [name for name, _ in channel_colours(ifc)] == named, "transmitted light is grey under the stains"
    tile = np.array([[[[60]], [[0]]]], dtype=np.uint16)
    np.testing.assert_allclose(composite(tile, ("DAPI", "Actin"), statistics)[0, 0, 0], [0.125, 0.25, 0.5])
    saturated = np.array([[[[5]], [[9000]]]], dtype=np.uint16)
    np.testing.assert_allclose(composite(saturated, ("DAPI", "Actin"), statistics)[0, 0, 0], [0.15, 0.95, 0.30])


def test_flat_fields_are_drawn_to_scale() -> None:
    y = np.linspace(0.5, 1.5, 400)[:, None] * np.ones((1, 300))
    picture = flat_fields({"Hoechst · P1": y})
    assert "0.50 to 1.50" in picture.alt
    assert pixels(picture).std() > 0.05


def test_principal_components_equal_numpy_up_to_sign() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 5)) * [5, 3, 1, 1, 1]
    scores = principal(values, 2)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(values.T)))[::-1]
    np.testing.assert_allclose(scores.var(axis=0, ddof=1), eigenvalues[:2])
    axes = np.linalg.lstsq(values - values.mean(axis=0), scores, rcond=None)[0]
    # The sign is fixed: the heaviest loading of each component is positive.
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()
    assert principal(values[:2, :1], 2).shape == (2, 2)


def test_few_wells_fall_back_to_pca() -> None:
    points, method = project(np.eye(4))
    assert (points.shape, method) == ((4, 2), "PCA")


@pytest.mark.slow
def test_umap_parts_two_clouds_and_is_repeatable() -> None:
    clouds = np.random.default_rng(0).normal(size=(40, 6)) + np.repeat([0.0, 20.0], 20)[:, None]
    points, method = project(clouds)
    assert method == "UMAP"
    np.testing.assert_array_equal(points, project(clouds)[0])
    middles = points[:20].mean(axis=0), points[20:].mean(axis=0)
    assert np.linalg.norm(middles[0] - middles[1]) > 2 * points[:20].std(axis=0).max()


def test_controls_are_coloured_whatever_their_number() -> None:
    labels = pd.Series(["NT (control)"] + [f"KO{i}" for i in range(14) for _ in range(3)])
    picture = embedding_map(
        np.arange(86.0).reshape(43, 2), "PCA", {"Perturbation": Colouring(labels=labels, first=("NT (control)",))}
    )
    assert "43 well embeddings" in picture.alt


def test_genes_without_r2_have_no_violin() -> None:
    assert r2_violins(pd.DataFrame({"target": ["t"], "r2": [np.nan]})) is None
    genes = pd.DataFrame(
        {"target": "t", "r2": [0.1, 0.5], "smape": [1.0, 3.0], "smape_baseline": 2.0, "significant": [True, False]}
    )
    picture = r2_violins(genes)
    assert picture is not None
    assert "t 0.30" in picture.alt
    assert "1 of 2 genes below" in error_scatter(genes, wide=False).alt
    row = {"target": "t", "significant": 1, "not_significant": 2, "filtered": 3, "genes": 6}
    assert "t 1 of 6" in share_bars([row], 0.05).alt


def test_markers_without_a_baseline_or_cells() -> None:
    markers = pd.DataFrame(
        {"marker": ["A", "B"], "r": [0.5, np.nan], "r_low": [0.4, np.nan], "r_high": [0.6, np.nan]}
    ).assign(r_linear=np.nan, r_linear_low=np.nan, r_linear_high=np.nan)
    cells = pd.DataFrame({"marker": ["A"] * 3, "measured": [1.0, 2.0, np.nan], "predicted": [1.0, 2.0, 3.0]})
    assert pixels(marker_scatters(cells, markers)).ndim == 3
    assert marker_bars(markers).alt


def test_a_figure_says_how_wide_it_was_drawn() -> None:
    for wanted, form, dpi in ((8.6, "svg", 130), (4.5, "svg", 130), (8.6, "png", 130), (3.2, "png", 300)):
        made, _ = figure(wanted, 1.0)
        kind = {"svg": "image/svg+xml", "png": "image/png"}[form]
        source = f"data:{kind};base64,{base64.b64encode(rendered(made, form, dpi)).decode()}"
        assert Picture(source=source, alt="", caption="").inches == pytest.approx(wanted, abs=0.01)
    assert Picture(source="data:image/png;base64,AAAA", alt="", caption="").inches == 0


def test_letters_of_a_wide_figure_are_not_made_smaller_on_a_narrow_screen() -> None:
    shown = []
    for wide in (4.5, 8.6):
        made, _ = figure(wide, 1.0)
        shown.append(Picture(source=uri(made, "svg"), alt="", caption=""))
    page = render_page("t", "s", [Section(anchor="a", title="A", lead="l", blocks=shown)])
    assert '<figure class="full">\n<div class="scroll"><img style="--inches: 4.50"' in page
    assert '<figure class="full wide">\n<div class="scroll"><img style="--inches: 8.60"' in page
    assert "calc(var(--inches) * 4.6rem)" in page
