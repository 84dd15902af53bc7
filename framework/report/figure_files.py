"""Figures as files: PNG, SVG and CSV of each, and what a page says of it, so that a page can show it later."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.durable import replacing_files, write_json, write_with
from framework.errors import InputError
from framework.files.csv_writing import write_csv
from framework.files.failures import is_inside
from framework.files.json_file import read_mapping
from framework.format import count_of
from framework.report.canvas import rendered, styled
from framework.report.drawn import Drawn
from framework.report.page import Block, Listing, Note, Picture

_DPI = 200
_ENDING = ".figure.json"
_TEXTS = ("title", "caption", "alt", "paper")
_MOST_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class FigureFile:
    """A figure that was written.

    Attributes:
        name: name of its entry in ``FIGURES``; also of its files.
        title, caption, alt: see ``Drawn``.
        paper: its number in the paper it is known from.
        order: its place among others.
        notes: what was left out.
        files: PNG, SVG, CSV.
    """

    name: str
    title: str
    caption: str
    alt: str
    paper: str
    order: int
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def write_figure(folder: Path, name: str, drawn: Drawn, paper: str, order: int) -> FigureFile:
    """Write ``NAME.png``, ``NAME.svg``, ``NAME.csv``, and ``NAME.figure.json`` last; equal figures, equal bytes."""
    told = f"{name}{_ENDING}"
    png, svg, csv = files = tuple(f"{name}.{ending}" for ending in ("png", "svg", "csv"))
    draw = styled(rendered)
    texts = {"title": drawn.title, "caption": drawn.caption, "alt": drawn.alt, "paper": paper}
    facts = {"name": name, **texts, "order": order, "notes": list(drawn.notes), "rows": len(drawn.numbers)}
    with replacing_files(folder, told) as beside:
        # The SVG first: a canvas that was drawn at another resolution keeps nothing of it in the layout.
        write_with(beside / svg, lambda path: path.write_bytes(draw(drawn.canvas, "svg")))
        write_with(beside / png, lambda path: path.write_bytes(draw(drawn.canvas, "png", _DPI)))
        write_csv(beside / csv, drawn.numbers)
        write_json(beside / told, facts)
    return FigureFile(name=name, **texts, order=order, notes=drawn.notes, files=tuple(folder / each for each in files))


def read_figures(folder: Path | str) -> list[FigureFile]:
    """Return the figures that ``write_figure`` left in a folder, in their order.

    Raises:
        InputError: no such folder, none in it, or one that cannot be read.
    """
    place = Path(folder)
    found = sorted(place.glob(f"*{_ENDING}"))
    if not found:
        raise InputError(f"{place}: no figure in this folder; make some with: wellstream figure all --out {place}")
    return sorted((_read(file) for file in found), key=lambda figure: (figure.order, figure.name))


def figure_blocks(figures: Sequence[FigureFile]) -> list[Block]:
    """Return the blocks that show figures on a page: picture, caption, and what was left out.

    Raises:
        InputError: a picture that cannot be read.
    """
    blocks: list[Block] = []
    for figure in figures:
        number = f"{figure.title} ({figure.paper})" if figure.paper else figure.title
        told = f"{number}. {figure.caption} The numbers: {figure.name}.csv."
        blocks.append(Picture(source=_uri(figure), alt=figure.alt, caption=told))
        if len(figure.notes) > 1:
            title = f"{figure.title}: {count_of(len(figure.notes), 'note')}"
            blocks.append(Listing(title=title, text="\n".join(figure.notes)))
        else:
            blocks += [Note(text=f"{figure.title}: {note}") for note in figure.notes]
    return blocks


def _read(file: Path) -> FigureFile:
    facts = read_mapping(file, error=InputError, what="what is known of a figure", then="draw it again")
    name, notes, order = str(facts.get("name")), facts.get("notes", []), facts.get("order", 0)
    files = tuple(file.parent / f"{name}.{ending}" for ending in ("png", "svg", "csv"))
    whole = isinstance(notes, list) and isinstance(order, int) and f"{name}{_ENDING}" == file.name
    if not whole or not all(isinstance(facts.get(key), str) for key in _TEXTS):
        raise InputError(f"{file}: this does not describe a figure; draw it again")
    missing = [each.name for each in files if not (is_inside(each, file.parent) and each.is_file())]
    if missing:
        raise InputError(f"{file}: {missing[0]} is missing beside it; draw the figure again")
    texts = {key: str(facts[key]) for key in _TEXTS}
    return FigureFile(name=name, **texts, order=int(order), notes=tuple(map(str, notes)), files=files)


def _uri(figure: FigureFile) -> str:
    png = figure.files[0]
    content = png.read_bytes() if png.stat().st_size <= _MOST_BYTES else b""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{png}: expected the PNG of figure '{figure.name}'; draw it again")
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
