"""A Xenium field as a plate: each square of the field is a well, and its label is the expression of its cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile

from data_tools.readers.cells.transcripts import TOTAL, TranscriptsConfig, TranscriptsReader
from data_tools.wells import normalise_well
from framework.objectives.cell_expression import log_share

EDGE_PX = 120
MARGIN_PX = 32
"""Half a tile: what an image shows beyond its square, so that tiles of cells at the edge are whole."""
STRIP_PX = 600
PIXEL_SIZE_UM = 0.2125
MIN_CELLS = 50
"""Cells that a gene must be seen in."""
ACROSS, DOWN, STRIP, BLOCK = "across", "down", "Metadata_Strip", "Metadata_Block"
NEIGHBOURHOOD = "Metadata_Neighbourhood"
_BLOCK_ROWS = 3


def write_squares(field: Path, out: Path) -> int:
    """Write images, plate map, centres of nuclei and labels of all squares that hold a cell; return how many these are.

    Args:
        field: folder with ``morphology_mip.tif`` and ``transcripts.csv.gz``.
        out: folder that gets ``images``, ``platemap.csv``, ``centres.csv`` and ``rna.csv``.

    Raises:
        InputError: the field cannot be read.
    """
    image = field / "morphology_mip.tif"
    cells, genes = cells_of(image, field / "transcripts.csv.gz")
    (out / "images").mkdir(parents=True, exist_ok=True)
    plane = np.pad(tifffile.imread(image), MARGIN_PX, mode="symmetric")
    squares = squares_of(cells)
    whole = EDGE_PX + 2 * MARGIN_PX
    for square in squares.itertuples():
        y, x = square.down * EDGE_PX, square.across * EDGE_PX
        tifffile.imwrite(out / "images" / f"{square.Metadata_Well}_DAPI.tif", plane[y : y + whole, x : x + whole])
    squares.drop(columns=[ACROSS, DOWN]).to_csv(out / "platemap.csv", index=False)
    placed = cells.assign(
        well=squares.set_index([DOWN, ACROSS])["Metadata_Well"]
        .loc[pd.MultiIndex.from_frame(cells[[DOWN, ACROSS]])]
        .to_numpy(),
        y_px=cells["y_px"] - cells[DOWN] * EDGE_PX + MARGIN_PX,
        x_px=cells["x_px"] - cells[ACROSS] * EDGE_PX + MARGIN_PX,
    )
    placed[["well", "y_px", "x_px"]].to_csv(out / "centres.csv", index=False)
    labels_of(placed, genes).to_csv(out / "rna.csv", index=False)
    return len(squares)


def cells_of(image: Path, table: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the cells (place, square, counts of genes, ``transcripts``) and the genes seen in ``MIN_CELLS`` of them.

    Raises:
        InputError: image or table cannot be read.
    """
    config = TranscriptsConfig(images={"DAPI": str(image)}, table=str(table), pixel_size_um=PIXEL_SIZE_UM)
    cells = TranscriptsReader(config).survey(("DAPI",)).cells
    places = cells[["y_px", "x_px"]].to_numpy(np.float64)
    cells = cells.assign(**dict(zip((DOWN, ACROSS), np.floor(places / EDGE_PX).astype(int).T, strict=True)))
    known = ("Metadata_Cell", "y_px", "x_px", DOWN, ACROSS, TOTAL)
    genes = [name for name in cells.columns if name not in known and (cells[name] > 0).sum() >= MIN_CELLS]
    return cells, genes


def squares_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the plate map: well, perturbation (the square), strip, block of rows and neighbourhood of each square."""
    squares = cells[[DOWN, ACROSS]].drop_duplicates().sort_values([DOWN, ACROSS], ignore_index=True)
    down, across = squares[DOWN], squares[ACROSS]
    wells = [normalise_well((int(row) + 1, int(column) + 1)) for row, column in zip(down, across, strict=True)]
    strip, rows = across * EDGE_PX // STRIP_PX, down // _BLOCK_ROWS
    block = strip.astype(str) + "-" + rows.astype(str)
    return squares.assign(
        Metadata_Well=wells,
        Metadata_Perturbation=wells,
        Metadata_Stimulation="none",
        Metadata_Control_Type="treatment",
        **{STRIP: strip, BLOCK: block, NEIGHBOURHOOD: block + "-" + across.astype(str)},
    )


def labels_of(cells: pd.DataFrame, genes: list[str]) -> pd.DataFrame:
    """Return the table of labels: one row per well, log(1 + 100 x share) of each gene over its cells."""
    summed = cells.groupby("well")[[*genes, TOTAL]].sum()
    shares: npt.NDArray[np.float64] = log_share(summed[genes].to_numpy(np.float64), summed[TOTAL].to_numpy(np.float64))
    keys = {"Metadata_Perturbation": summed.index, "Metadata_Stimulation": "none"}
    return pd.concat([pd.DataFrame(keys).reset_index(drop=True), pd.DataFrame(shares, columns=genes)], axis=1)
