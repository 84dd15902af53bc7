"""A few imaged cells of each population with their saliency maps, for the report (IFC-seq, Figure S4)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.durable import write_arrays
from framework.errors import InputError
from framework.expression.config import ImagedCells
from framework.expression.imaged_cells import Imaged
from framework.files.npz import load_npz

CELLS_PER_POPULATION = 6
_ARRAYS = ("tile", "images", "maps", "outputs", "channels", "dataset_digest")


@dataclass(frozen=True, kw_only=True)
class ShownMaps:
    """k imaged cells, population by population.

    Attributes:
        images: (k, C, H, W) as stored.
        maps: float32 (k, M, H, W), the largest positive guided gradient over channels.
        population: (k,) names.
        tile: (k,) rows of tiles.parquet.
        markers: (M,) names.
        channels: (C,) names.
        pixel_size_um: (), NaN where it is not known.
    """

    images: npt.NDArray[Any]
    maps: npt.NDArray[np.float32]
    population: npt.NDArray[np.str_]
    tile: npt.NDArray[np.int64]
    markers: npt.NDArray[np.str_]
    channels: npt.NDArray[np.str_]
    pixel_size_um: npt.NDArray[np.float64]

    def write(self, file: Path) -> None:
        """Write them as ``.npz``, an array per attribute."""
        write_arrays(file, {each.name: getattr(self, each.name) for each in fields(self)})


def shown_maps(config: ImagedCells, markers: tuple[str, ...], imaged: Imaged) -> ShownMaps:
    """Choose the first cells of each population that have maps.

    Args:
        config: the imaging side, with ``saliency``.
        markers: as the single-cell side names them.
        imaged: the cells that get expression.

    Raises:
        InputError: not a file of ``wellstream saliency``, of other pixels, or without a marker or any of these cells.
    """
    file = Path(config.saliency or "")
    found = _read(file)
    if str(found["dataset_digest"]) != imaged.dataset_digest:
        raise InputError(
            f"{file}: is from another dataset than {config.predictions}; make both from one dataset: "
            "wellstream saliency RUN"
        )
    outputs = found["outputs"].tolist()
    missing = [name for marker in markers if (name := config.names.get(marker, marker)) not in outputs]
    if missing:
        raise InputError(f"{file}: has no maps of '{missing[0]}'; found: {', '.join(outputs)}")
    of_tile = {int(tile): row for row, tile in enumerate(imaged.rows["tile"])}
    population = np.asarray(imaged.population, dtype=str)
    seen: dict[str, list[int]] = {str(name): [] for name in imaged.population.categories}
    for row, tile in enumerate(found["tile"].tolist()):
        if tile in of_tile and len(seen[population[of_tile[tile]]]) < CELLS_PER_POPULATION:
            seen[population[of_tile[tile]]].append(row)
    rows = np.array([row for of_name in seen.values() for row in of_name], dtype=np.int64)
    if not len(rows):
        raise InputError(
            f"{file}: none of its {len(found['tile'])} cells is among those of part '{config.part}'; make it with: "
            f"wellstream saliency RUN --part {config.part}"
        )
    columns = [outputs.index(config.names.get(marker, marker)) for marker in markers]
    return ShownMaps(
        images=found["images"][rows],
        maps=found["maps"][rows][:, columns].clip(min=0).max(axis=2),
        population=np.repeat(list(seen), [len(of_name) for of_name in seen.values()]),
        tile=found["tile"][rows],
        markers=np.array(markers),
        channels=found["channels"],
        pixel_size_um=found.get("pixel_size_um", np.array(np.nan)),
    )


def _read(file: Path) -> dict[str, npt.NDArray[Any]]:
    made_by = "make it with: wellstream saliency RUN --out FILE.npz"
    if not file.is_file():
        raise InputError(f"{file}: no such file; {made_by}")
    found = load_npz(file, _ARRAYS, error=InputError, what="saliency maps (.npz)", then=made_by)
    cells, outputs, pixels = found["tile"].shape, found["outputs"].shape, found["images"].shape[1:]
    expected = {"tile": 1, "outputs": 1, "channels": 1, "images": 4}
    wrong = [name for name, dimensions in expected.items() if found[name].ndim != dimensions]
    if wrong or found["images"].shape[:1] != cells or found["maps"].shape != (*cells, *outputs, *pixels):
        shapes = ", ".join(f"{name} {found[name].shape}" for name in ("tile", "outputs", "images", "maps"))
        raise InputError(
            f"{file}: expected tile (n,), outputs (M,), images (n, C, H, W) and maps (n, M, C, H, W), found {shapes}; "
            f"{made_by}"
        )
    return found
