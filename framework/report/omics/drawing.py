"""From names of figures to files: asks ``FIGURES`` for each, and says which could not be drawn and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.config import load_config
from framework.errors import ConfigError, InputError
from framework.files.outputs import check_output_folder
from framework.progress import OnProgress
from framework.report.canvas import styled
from framework.report.figure import FIGURES, lacking, need_inputs
from framework.report.figure_files import FigureFile, write_figure
from framework.report.figure_inputs import INPUTS, FigureInputs
from framework.report.sections import load_sections
from framework.result import Result

ALL = "all"

load_sections("framework.report.omics")


@dataclass(frozen=True, kw_only=True, repr=False)
class FiguresSummary(Result):
    """Figures that were drawn.

    Attributes:
        folder: where their files lie.
        figures: their names.
        files: PNG, SVG and CSV of each.
        notes: what figures left out.
        not_drawn: figures of ``all`` whose input was not given, or could not be drawn from it.
    """

    folder: Path
    figures: tuple[str, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    not_drawn: tuple[str, ...] = ()


def names_in_order() -> list[str]:
    """Return the names of all figures, in the order of the paper."""
    return sorted(FIGURES.names(), key=lambda name: (FIGURES.get(name).build.order, name))


def figure_rows() -> list[dict[str, str]]:
    """Return one row per figure: its name, its number in the paper, what it shows, and the inputs it takes."""
    rows = []
    for name in names_in_order():
        kind = FIGURES.get(name).build
        also = f" [{' '.join(_flags(kind.also))}]" if kind.also else ""
        takes = " ".join(_flags(kind.takes)) + also
        rows.append({"figure": name, "paper": kind.paper, "shows": kind.shows, "takes": takes})
    return rows


def draw_figures(
    names: Sequence[str],
    inputs: FigureInputs,
    out: Path | str,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
) -> FiguresSummary:
    """Draw figures, and write PNG, SVG and CSV of each.

    Args:
        names: entries of ``FIGURES``, or ``all``: each one whose inputs were given.
        inputs: what they are drawn from.
        out: folder to write.
        overrides: options as text, ``top=8``; of one figure only.
        progress: called with (stage, done, total).

    Raises:
        RegistryError: no such figure.
        ConfigError: no name, or an option that the figure does not have.
        WellstreamError: an input is missing, cannot be read, or holds nothing to draw.
        OSError: ``out`` cannot be a folder.
    """
    every = list(names) == [ALL]
    if not names or (overrides and (every or len(names) > 1)):
        told = "options (key=value) belong to one figure; name one" if overrides else "name a figure, or all"
        raise ConfigError(f"{told}: {', '.join(names_in_order())}")
    wanted = names_in_order() if every else list(dict.fromkeys(names))
    entries = {name: FIGURES.get(name).build for name in wanted}
    check_output_folder(out, [f"{name}.csv" for name in entries], inputs.files())
    written: list[FigureFile] = []
    left: list[str] = []
    for number, (name, kind) in enumerate(entries.items()):
        if every and lacking(kind, inputs):
            left.append(f"{name}: needs {', '.join(INPUTS[each].option for each in lacking(kind, inputs))}")
            continue
        need_inputs(name, kind, inputs)
        try:
            written.append(_made(name, inputs, Path(out), overrides))
        except InputError as error:
            if not every:
                raise
            left.append(f"{name}: {error}")
        if progress:
            progress("figures", number + 1, len(entries))
    if not written:
        raise InputError("no figure could be drawn: " + "; ".join(left))
    return FiguresSummary(
        folder=Path(out),
        figures=tuple(each.name for each in written),
        files=tuple(file for each in written for file in each.files),
        notes=tuple(f"{each.name}: {note}" for each in written for note in each.notes),
        not_drawn=tuple(left),
    )


def _made(name: str, inputs: FigureInputs, out: Path, overrides: Sequence[str]) -> FigureFile:
    entry = FIGURES.get(name)
    options = load_config({}, entry.config, overrides)
    drawn = styled(entry.build(options).draw)(inputs)
    return write_figure(out, name, drawn, entry.build.paper, entry.build.order)


def _flags(names: Sequence[str]) -> list[str]:
    return [INPUTS[each].option.split()[0] for each in names]
