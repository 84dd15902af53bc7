"""Small crops of single cells with a structure channel and a tagged protein, as a protein library of yeast gives them.

Every protein has a place in the cell (nucleus, membrane, spots, network, cytosol) and a style of its own: brightness,
number and size of its spots, thickness of its strands. The structure channel shows outline and nucleus of a cell and
nothing of its protein, so what the protein of a cell looks like must be learnt from another cell of the same protein:
what paired cell inpainting does (Lu 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile
from pydantic import Field

from data_tools.simulate.folder import claim
from data_tools.simulate.streams import Stream, generator
from framework.config import StrictModel
from framework.progress import OnCount
from framework.result import Result

Place = Literal["nucleus", "membrane", "spots", "network", "cytosol"]
F32 = npt.NDArray[np.float32]

PLACES: tuple[Place, ...] = ("nucleus", "membrane", "spots", "network", "cytosol")
STRUCTURE, PROTEIN = "rfp", "gfp"
"""Channels, as they stand in the file names."""
IMAGES_NAME = "images"
TRUTH_PROTEINS_NAME, TRUTH_CELLS_NAME = "truth_proteins.csv", "truth_cells.csv"


class CropsConfig(StrictModel):
    """A simulated library of tagged proteins.

    Attributes:
        places: where proteins lie; protein i lies in place i modulo their number.
        style_spread: how much proteins of one place differ in style; 0 makes them alike.
    """

    proteins: int = Field(10, ge=1, le=9999, description="tagged proteins")
    fields: int = Field(3, ge=1, le=99, description="fields of view a protein")
    cells_per_field: int = Field(15, ge=1, le=9999, description="cells in a field of view")
    size_px: int = Field(64, ge=24, le=512, description="edge of a crop")
    places: tuple[Place, ...] = Field(PLACES, min_length=1)
    style_spread: float = Field(1.0, ge=0, le=2)
    noise: float = Field(0.04, ge=0, le=1, description="sd of the camera's noise, of the brightest pixel")
    seed: int = Field(0, ge=0, lt=2**63, description="of everything drawn")


@dataclass(frozen=True, kw_only=True, repr=False)
class CropsSummary(Result):
    """What was written.

    Attributes:
        out: the folder.
        proteins, cells, images: how many.
    """

    out: Path
    proteins: int
    cells: int
    images: int


@dataclass(frozen=True, kw_only=True)
class ProteinStyle:
    """What all cells of a protein share.

    Attributes:
        place: compartment.
        brightness: brightness of the brightest structure.
        spots: mean number of spots (of strands, for a network) a cell.
        width: standard deviation of spots and strands as a share of the cell's radius.
        haze: light of the cytosol, as a share of the brightness.
    """

    place: Place
    brightness: float
    spots: float
    width: float
    haze: float

    @classmethod
    def draw(cls, config: CropsConfig, protein: int) -> ProteinStyle:
        """Draw the style of protein number ``protein``."""
        rng = generator(config.seed, Stream.CROP_PROTEIN, protein)
        bend = config.style_spread
        return cls(
            place=config.places[protein % len(config.places)],
            brightness=float(0.6 * np.exp(0.25 * bend * rng.standard_normal())),
            spots=float(7 * np.exp(0.5 * bend * rng.standard_normal())),
            width=float(0.11 * np.exp(0.25 * bend * rng.standard_normal())),
            haze=float(0.12 * np.exp(0.4 * bend * rng.standard_normal())),
        )


@dataclass(frozen=True, kw_only=True)
class CellShape:
    """The geometry of one cell, in px: centre, half axes, angle; nucleus centre and radius."""

    centre: tuple[float, float]
    axes: tuple[float, float]
    angle: float
    nucleus: tuple[float, float]
    nucleus_radius: float

    @classmethod
    def draw(cls, size: int, rng: np.random.Generator) -> CellShape:
        """Draw a cell that lies wholly in a crop of ``size``."""
        long = size * rng.uniform(0.26, 0.36)
        short = long * rng.uniform(0.75, 1.0)
        middle = (size - 1) / 2 + rng.uniform(-0.06, 0.06, 2) * size
        turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35) * short
        nucleus = middle + reach * np.array([np.sin(turn), np.cos(turn)])
        return cls(
            centre=(float(middle[0]), float(middle[1])),
            axes=(float(long), float(short)),
            angle=float(rng.uniform(0, np.pi)),
            nucleus=(float(nucleus[0]), float(nucleus[1])),
            nucleus_radius=float(short * rng.uniform(0.3, 0.4)),
        )

    def distance(self, size: int) -> F32:
        """Return the distance of each pixel from the centre in radii: 1 on the outline; (size, size)."""
        y, x = np.mgrid[:size, :size].astype(np.float32)
        dy, dx = y - self.centre[0], x - self.centre[1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along, across = (cos * dx + sin * dy) / self.axes[0], (cos * dy - sin * dx) / self.axes[1]
        away: F32 = np.hypot(along, across).astype(np.float32)
        return away

    def nucleus_distance(self, size: int) -> F32:
        """Return the distance of each pixel from the middle of the nucleus in its radii; (size, size)."""
        y, x = np.mgrid[:size, :size].astype(np.float32)
        away: F32 = (np.hypot(y - self.nucleus[0], x - self.nucleus[1]) / self.nucleus_radius).astype(np.float32)
        return away


def simulate_crops(config: CropsConfig, out: Path, progress: OnCount | None = None) -> CropsSummary:
    """Write a simulated library of proteins: ``images/PROTEIN/PROTEIN_FIELD_rfp_CELL_{rfp,gfp}.tif`` and the truth.

    Args:
        config: what to simulate.
        out: the folder; it may be missing, empty, or hold an earlier (even unfinished) simulation of the same config.
        progress: called with (proteins done, proteins in all).

    Raises:
        InputError: ``out`` is a file, or holds anything else.
    """
    folder = claim(Path(out), config)
    styles = [ProteinStyle.draw(config, protein) for protein in range(config.proteins)]
    names = [f"PROT{protein + 1:0{len(str(config.proteins))}d}" for protein in range(config.proteins)]
    cells = []
    for protein, (name, style) in enumerate(zip(names, styles, strict=True)):
        (folder / IMAGES_NAME / name).mkdir(parents=True, exist_ok=True)
        for field in range(1, config.fields + 1):
            for cell in range(1, config.cells_per_field + 1):
                rng = generator(config.seed, Stream.CROP_CELL, protein, field, cell)
                shape = CellShape.draw(config.size_px, rng)
                for channel, image in zip((STRUCTURE, PROTEIN), draw_cell(shape, style, config, rng), strict=True):
                    file = folder / IMAGES_NAME / name / f"{name}_{field}_rfp_{cell}_{channel}.tif"
                    tifffile.imwrite(file, image, metadata=None, software=False)
                cells.append((name, field, cell, *shape.centre, *shape.axes, *shape.nucleus, shape.nucleus_radius))
        if progress is not None:
            progress(protein + 1, config.proteins)
    columns = ["protein", "field", "cell", "y_px", "x_px", "long_px", "short_px", "nucleus_y_px", "nucleus_x_px"]
    _write_csv(folder / TRUTH_CELLS_NAME, pd.DataFrame(cells, columns=[*columns, "nucleus_radius_px"]))
    truth = pd.DataFrame([vars(style) for style in styles])
    truth.insert(0, "protein", names)
    _write_csv(folder / TRUTH_PROTEINS_NAME, truth)
    return CropsSummary(out=folder, proteins=config.proteins, cells=len(cells), images=2 * len(cells))


def draw_cell(shape: CellShape, style: ProteinStyle, config: CropsConfig, rng: np.random.Generator) -> tuple[F32, F32]:
    """Return the structure and the protein image of a cell, each (size, size), from 0 to about 1."""
    size = config.size_px
    away, from_nucleus = shape.distance(size), shape.nucleus_distance(size)
    inside, core = _soft(away, 12), _soft(from_nucleus, 6)
    grain = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 1.5)
    structure = inside * (0.7 - 0.45 * core + 0.25 * grain)
    light = _PAINTERS[style.place](shape, style, away, from_nucleus, rng)
    protein = style.brightness * (light + style.haze * inside)
    first, second = (
        np.maximum(image + config.noise * rng.standard_normal((size, size), dtype=np.float32), 0).astype(np.float32)
        for image in (structure, protein)
    )
    return first, second


def _soft(distance: F32, steepness: float) -> F32:
    """Return 1 within a distance of 1 and 0 beyond, with a soft edge."""
    soft: F32 = (1 / (1 + np.exp(np.clip(steepness * (distance - 1), -30, 30)))).astype(np.float32)
    return soft


def _nucleus(shape: CellShape, style: ProteinStyle, away: F32, core: F32, rng: np.random.Generator) -> F32:
    return _soft(core, 2 + 0.8 / style.width)


def _membrane(shape: CellShape, style: ProteinStyle, away: F32, core: F32, rng: np.random.Generator) -> F32:
    rim: F32 = np.exp(-(((away - 0.95) / style.width) ** 2)).astype(np.float32)
    return rim


def _cytosol(shape: CellShape, style: ProteinStyle, away: F32, core: F32, rng: np.random.Generator) -> F32:
    return _soft(away, 12) * (1 - min(1.0, 6 * style.width) * _soft(core, 6))


def _spots(shape: CellShape, style: ProteinStyle, away: F32, core: F32, rng: np.random.Generator) -> F32:
    size = len(away)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    light = np.zeros((size, size), np.float32)
    sigma = max(0.8, style.width * shape.axes[1])
    for cy, cx in _points(shape, max(1, int(rng.poisson(style.spots))), rng):
        np.maximum(light, np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2)), out=light)
    return light


def _network(shape: CellShape, style: ProteinStyle, away: F32, core: F32, rng: np.random.Generator) -> F32:
    """Return strands that wander through the cell, around its nucleus."""
    mask = np.zeros(away.shape, np.float32)
    for start in _points(shape, max(2, int(rng.poisson(style.spots))), rng):
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, 8))
        step = 0.16 * shape.axes[1] * np.stack([np.sin(heading), np.cos(heading)], axis=1)
        path = np.asarray(start) + np.cumsum(step, axis=0)
        points = np.rint(path[:, ::-1]).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(mask, [points], isClosed=False, color=1.0, thickness=1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.7, 0.6 * style.width * shape.axes[1]))
    inside = _soft(away, 12) * (1 - _soft(core, 6))
    light: F32 = inside * soft / max(float(soft.max()), 1e-6)
    return light


def _points(shape: CellShape, n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return ``n`` places (row, column) spread over the cell, (n, 2)."""
    turn, reach = rng.uniform(0, 2 * np.pi, n), 0.85 * np.sqrt(rng.random(n))
    along, across = reach * np.cos(turn) * shape.axes[0], reach * np.sin(turn) * shape.axes[1]
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    rows, columns = shape.centre[0] + sin * along + cos * across, shape.centre[1] + cos * along - sin * across
    return np.stack([rows, columns], axis=1)


_PAINTERS: dict[str, Callable[[CellShape, ProteinStyle, F32, F32, np.random.Generator], F32]] = {
    "nucleus": _nucleus,
    "membrane": _membrane,
    "spots": _spots,
    "network": _network,
    "cytosol": _cytosol,
}


def _write_csv(file: Path, table: pd.DataFrame) -> None:
    file.write_text(table.to_csv(index=False, lineterminator="\n", float_format="%.6g"), encoding="utf-8")
