"""Figure of painted cells: source, structure of the target, what was painted, what was there; and a wrong source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from framework.report.canvas import bare, figure, shortened, styled, uri
from framework.report.figures.images import channel_colours
from framework.report.figures.scale import draw_scale_bar
from framework.report.page import Picture

Floats = npt.NDArray[np.floating]

TITLES = ("source", "target: structure", "painted", "target: truth", "other source", "painted after it")
_PROTEIN = np.asarray([0.15, 0.95, 0.30])
_RED, _BLUE = np.asarray([1.0, 0.25, 0.15]), np.asarray([0.25, 0.50, 1.0])
_BRIGHTEST = 99.8


@styled
def painted_cells(
    arrays: Mapping[str, Floats],
    names: Sequence[tuple[str, str]],
    channels: Sequence[str],
    structure: Sequence[str],
    protein: Sequence[str],
    pixel_size_um: float | None = None,
) -> Picture:
    """Draw a row of six images for each target cell.

    Args:
        arrays: ``source``, ``stranger``, ``target`` (n, C, H, W) and ``painted``, ``painted_after_stranger``
            (n, P, H, W), scaled.
        names: n pairs: what source and target show, what the other source shows.
        channels: names of the C channels.
        structure: those given of the target.
        protein: the P predicted ones.
        pixel_size_um: for a scale bar; None: not known.
    """
    drawn, axes = figure(8.6, 1.42 * len(names) + 0.3, len(names), len(TITLES))
    drawn.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    given = [list(channels).index(name) for name in structure]
    shown = [list(channels).index(name) for name in protein]
    colours = structure_colours(structure)
    for row, (line, (own, other)) in enumerate(zip(axes, names, strict=True)):
        truth = arrays["target"][row, shown].mean(axis=0)
        contrast = (float(truth.min()), float(np.percentile(truth, _BRIGHTEST)))
        cells = [_cell(arrays[name][row], given, shown, colours) for name in ("source", "stranger")]
        painted = [_green(arrays[name][row].mean(axis=0), *contrast) for name in ("painted", "painted_after_stranger")]
        structures = _structures(arrays["target"][row, given], colours)
        images = (cells[0], structures, painted[0], _green(truth, *contrast), cells[1], painted[1])
        for panel, image in zip(line, images, strict=True):
            bare(panel)
            panel.imshow(np.clip(image, 0, 1), interpolation="nearest")
        draw_scale_bar(line[0], pixel_size_um, images[0].shape[1], images[0].shape[0])
        line[0].set_ylabel(shortened(own, 20), rotation=0, ha="right", va="center", fontsize=8)
        line[4].set_xlabel(shortened(other, 20), fontsize=7)
    for panel, title in zip(axes[0], TITLES, strict=True):
        panel.set_title(title, fontsize=8, loc="center", fontweight="normal")
    return Picture(
        source=uri(drawn, "png"),
        alt=f"{len(names)} target cells painted after a source of their own condition and of another: "
        + ", ".join(own for own, _ in names),
        caption="Each row is one target cell. The network sees the source (structure and protein) and the structure of "
        "the target, and paints the target's protein; beside it the truth, at the same contrast. In the last two "
        "columns the source is a cell of another condition, named below it, and the painting should follow that "
        f"source. Protein ({', '.join(protein)}) green; structure: {_described(structure)}. Smooth paintings are "
        "expected where the pattern cannot be known from the structure: squared error asks for the average.",
    )


def structure_colours(structure: Sequence[str]) -> list[npt.NDArray[np.float64]]:
    """Return a colour per structure channel, RGB in 0..1, (3,): nuclear stains blue, the others red."""
    return [_BLUE if name == "blue" else _RED for name, _ in channel_colours(structure)]


def _described(structure: Sequence[str]) -> str:
    named = zip(structure, structure_colours(structure), strict=True)
    return ", ".join(f"{channel} {'blue' if colour is _BLUE else 'red'}" for channel, colour in named)


def _cell(
    image: Floats, given: Sequence[int], shown: Sequence[int], colours: Sequence[npt.NDArray[np.float64]]
) -> Floats:
    protein = image[list(shown)].mean(axis=0)
    low, high = float(protein.min()), float(np.percentile(protein, _BRIGHTEST))
    return 0.6 * _structures(image[list(given)], colours) + _green(protein, low, high)


def _structures(images: Floats, colours: Sequence[npt.NDArray[np.float64]]) -> Floats:
    picture = np.zeros((*images.shape[1:], 3))
    for image, colour in zip(images, colours, strict=True):
        picture += _shade(image, float(image.min()), float(np.percentile(image, _BRIGHTEST)))[..., None] * colour
    return picture


def _green(image: Floats, low: float, high: float) -> Floats:
    painted: Floats = _shade(image, low, high)[..., None] * _PROTEIN
    return painted


def _shade(image: Floats, low: float, high: float) -> Floats:
    shade: Floats = np.clip((image - low) / max(high - low, 1e-9), 0, 1)
    return shade
