"""From names to files, to the page, and back; what cannot be drawn is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from framework.errors import ConfigError, InputError, RegistryError
from framework.report import write_report
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_files import figure_blocks, read_figures
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.drawing import draw_figures, names_in_order
from launch.cli import app


@pytest.fixture(scope="module")
def folder(scored: FigureInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("figures")
    draw_figures(["omics_r2", "omics_shares"], scored, out)
    return out


def test_each_figure_is_three_files_and_the_page_shows_it(folder: Path, world) -> None:
    names = sorted(file.name for file in folder.iterdir())
    kinds = ("csv", "figure.json", "png", "svg")
    assert names == [f"{name}.{kind}" for name in ("omics_r2", "omics_shares") for kind in kinds]
    assert len(pd.read_csv(folder / "omics_r2.csv")) == 120
    found = read_figures(folder)
    assert [each.paper for each in found] == ["Figure 2", "Figure 3"]
    page = write_report(world.run, figures=folder, out=folder / "page" / "r.html").read_text()
    assert 'id="figures"' in page
    assert "Overall prediction performance (Figure 2)" in page
    assert page.count("data:image/png") >= 2


def test_equal_inputs_give_equal_files(scored: FigureInputs, folder: Path, tmp_path: Path) -> None:
    draw_figures(["omics_r2"], scored, tmp_path)
    for ending in ("png", "svg", "csv"):
        name = f"omics_r2.{ending}"
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_an_evaluation_stands_in_for_predictions(world, tmp_path: Path) -> None:
    made = draw_figures(["omics_r2"], FigureInputs(evaluation=world.omics), tmp_path)
    assert made.figures == ("omics_r2",)
    with pytest.raises(InputError, match="expected an evaluation of kind omics, found 'markers'"):
        draw_figures(["omics_r2"], FigureInputs(evaluation=world.markers), tmp_path)


def test_what_is_wrong_with_the_request_is_said(scored: FigureInputs, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"no figure is called 'omics_r3'.*did you mean 'omics_r2'"):
        draw_figures(["omics_r3"], scored, tmp_path)
    with pytest.raises(InputError, match=r"'omics_r2' also needs --predictions FILE \(or --evaluation FOLDER\)"):
        draw_figures(["omics_r2"], FigureInputs(), tmp_path)
    with pytest.raises(ConfigError, match="belong to one figure"):
        draw_figures(["all"], scored, tmp_path, ["count=3"])
    with pytest.raises(ConfigError, match="cuont: unknown key"):
        draw_figures(["omics_ranks"], scored, tmp_path, ["cuont=3"])
    with pytest.raises(InputError, match="no figure could be drawn: omics_r2: needs --predictions"):
        draw_figures(["all"], FigureInputs(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_figure_does_not_replace_what_it_is_drawn_from(scored: FigureInputs, tmp_path: Path) -> None:
    table = tmp_path / "omics_agreement.csv"
    table.write_text("gene,r2\n")
    with pytest.raises(ConfigError, match=r"omics_agreement\.csv: is read by this command"):
        draw_figures(["omics_agreement"], replace(scored, published=table), tmp_path)
    assert table.read_text() == "gene,r2\n"


def test_a_folder_without_figures_and_a_lost_file_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no figure in this folder; make some with: wellstream figure all"):
        read_figures(tmp_path)
    for file in folder.glob("omics_r2.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "omics_r2.png").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=r"omics_r2\.png: expected the PNG of figure"):
        figure_blocks(read_figures(tmp_path))
    (tmp_path / "omics_r2.svg").unlink()
    with pytest.raises(InputError, match=r"omics_r2\.svg is missing beside it"):
        read_figures(tmp_path)
    (tmp_path / "omics_r2.figure.json").write_text('{"name": "../omics_r2", "order": 1, "notes": []}')
    with pytest.raises(InputError, match="does not describe a figure"):
        read_figures(tmp_path)


def test_a_class_that_is_no_whole_figure_is_refused_where_it_is_defined() -> None:
    class Half(FigureKind[FigureConfig]):
        takes = ("scores",)

    with pytest.raises(RegistryError, match="does not define shows, draw"):
        FIGURES.register("half", FigureConfig)(Half)

    class Strange(FigureKind[FigureConfig]):
        shows, takes = "x", ("cells",)

        def draw(self, inputs):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    with pytest.raises(RegistryError, match="takes 'cells'; expected some of: scores"):
        FIGURES.register("strange", FigureConfig)(Strange)


def test_the_command_lists_and_draws(scored: FigureInputs, tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["figure", "--list"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0
    assert all(name in listed.output for name in names_in_order())
    words = ["figure", "omics_ranks", "count=2", "-o", str(tmp_path)]
    words += [word for file in scored.predictions for word in ("--predictions", str(file))]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert pd.read_csv(tmp_path / "omics_ranks.csv").groupby("target").size().tolist() == [4] * 4
