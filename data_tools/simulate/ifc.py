"""One call from a config to a folder with two experiments on the same populations, and the truth about both.

What lies in the folder::

    simulate.yaml              the resolved config, written first: it marks the folder as this simulation's
    images/                    a TIFF export of IDEAS: <sample>_<object>_Ch<n>.ome.tif
    features.txt               one row per imaged cell: object number, area, intensity of each channel
    citeseq/rna_umi.csv.gz     genes x sequenced cells
    citeseq/adt_umi.csv.gz     surface proteins x sequenced cells
    truth_cells.parquet        one row per imaged cell: population, marker levels, looks
    truth_sequenced.parquet    one row per sequenced cell: barcode, species, population, marker levels
    truth_genes.parquet        one row per gene: its class, how strongly it depends, its coefficients
    truth_expression.h5ad      imaged cells x genes: mean count (X), and a count drawn from it (layer ``counts``)

Equal configs give equal bytes (same library versions, same kind of processor).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from data_tools.simulate.folder import claim, write_csv_gz
from data_tools.simulate.ifc_cells import LOOKS, LatentCells, draw_cells
from data_tools.simulate.ifc_config import IfcConfig
from data_tools.simulate.ifc_export import image_name, write_features, write_image
from data_tools.simulate.ifc_expression import (
    MARKER,
    POPULATION,
    ExpressionModel,
    draw_counts,
    draw_surface_proteins,
    with_foreign_cells,
)
from data_tools.simulate.ifc_images import photograph_cell
from data_tools.simulate.streams import Stream, generator
from framework.files.h5_writing import write_h5ad
from framework.progress import OnCount
from framework.result import Result

FEATURES_NAME, IMAGES_NAME, SEQUENCED_NAME = "features.txt", "images", "citeseq"
TRUTH_CELLS_NAME, TRUTH_SEQUENCED_NAME = "truth_cells.parquet", "truth_sequenced.parquet"
TRUTH_GENES_NAME, TRUTH_EXPRESSION_NAME = "truth_genes.parquet", "truth_expression.h5ad"
OBJECT = "Object Number"

_REPORT_EVERY = 100
_BASES = np.array(list("ACGT"))


@dataclass(frozen=True, kw_only=True, repr=False)
class IfcSummary(Result):
    """What was written.

    Attributes:
        out: the folder.
        n_cells, n_images: imaged cells and their TIFFs.
        n_sequenced: sequenced cells, those of the other species included.
        n_genes: genes with truth, and how many of them follow markers or mark a population.
    """

    out: Path
    n_cells: int
    n_images: int
    n_sequenced: int
    n_genes: dict[str, int]


def simulate_ifc(config: IfcConfig, out: Path, progress: OnCount | None = None) -> IfcSummary:
    """Write a simulated pair of experiments.

    Args:
        config: what to simulate.
        out: the folder; it may be missing, empty, or hold an earlier (even unfinished) simulation of the same config.
        progress: called with (cells done, cells in all).

    Raises:
        InputError: ``out`` is a file, or holds anything else.
    """
    folder = claim(Path(out), config)
    cells = draw_cells(config, config.cells, Stream.IFC_CELLS)
    model = ExpressionModel.draw(config)
    features = _write_images(folder / IMAGES_NAME, config, cells, progress)
    write_features(folder / FEATURES_NAME, config, features)
    _write_cell_truth(folder, config, cells, model)
    n_sequenced = _write_sequenced(folder / SEQUENCED_NAME, config, model)
    return IfcSummary(
        out=folder,
        n_cells=len(cells),
        n_images=len(cells) * len(config.channels),
        n_sequenced=n_sequenced,
        n_genes={
            "all": len(model.names),
            MARKER: model.kind.count(MARKER),
            POPULATION: model.kind.count(POPULATION),
        },
    )


def _write_images(folder: Path, config: IfcConfig, cells: LatentCells, progress: OnCount | None) -> pd.DataFrame:
    """Write every TIFF and return the features, one row per cell."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(len(cells)):
        rng = generator(config.seed, Stream.IFC_IMAGE, number)
        view = photograph_cell(cells.looks[number], cells.levels[number], config.radius_px, config.stain_noise, rng)
        for channel, image in zip(config.channel_numbers, view.images, strict=True):
            write_image(folder / image_name(config.sample, number, channel), image, number)
        rows.append((number, view.area_px * config.pixel_size_um**2, view.aspect, *view.intensity))
        if progress is not None and (number % _REPORT_EVERY == 0 or number == len(cells) - 1):
            progress(number + 1, len(cells))
    intensities = [f"Intensity_MC_Ch{channel:02d}" for channel in config.channel_numbers]
    return pd.DataFrame(rows, columns=[OBJECT, "Area_M01", "Aspect Ratio_M01", *intensities])


def _write_cell_truth(folder: Path, config: IfcConfig, cells: LatentCells, model: ExpressionModel) -> None:
    """Write what is true of the imaged cells and of the genes."""
    truth = _latent_table(config, cells)
    truth.insert(0, "object", np.arange(len(cells), dtype=np.int64))
    for number, look in enumerate(LOOKS):
        truth[f"look_{look}"] = cells.looks[:, number]
    truth.to_parquet(folder / TRUTH_CELLS_NAME, index=False)
    model.truth(config, cells).to_parquet(folder / TRUTH_GENES_NAME, index=False)
    counts, mean = draw_counts(model, config, cells, Stream.IFC_CELLS)
    table = anndata.AnnData(
        X=mean.astype(np.float32),
        obs=pd.DataFrame(index=pd.Index([str(number) for number in range(len(cells))], name="object")),
        var=pd.DataFrame(index=pd.Index(list(model.names), name="gene")),
        layers={"counts": counts.astype(np.int32)},
    )
    write_h5ad(folder / TRUTH_EXPRESSION_NAME, table, compression="gzip")


def _write_sequenced(folder: Path, config: IfcConfig, model: ExpressionModel) -> int:
    """Write the sequencing experiment and its truth; return how many cells it has."""
    folder.mkdir(exist_ok=True)
    cells = draw_cells(config, config.sequenced_cells, Stream.SEQUENCED_CELLS)
    counts, names = with_foreign_cells(
        config, draw_counts(model, config, cells, Stream.SEQUENCED_CELLS)[0], model.names
    )
    proteins = draw_surface_proteins(config, cells)
    n = len(counts)
    rng = generator(config.seed, Stream.FOREIGN_CELLS, 1)
    stray = rng.poisson(4.0, (n - len(cells), proteins.shape[1]))
    proteins = pd.concat([proteins, pd.DataFrame(stray, columns=proteins.columns)], ignore_index=True)
    order = rng.permutation(n)  # the other species' cells lie anywhere among the others
    barcodes = _barcodes(n, rng)
    rna = pd.DataFrame(counts[order].T, index=pd.Index(list(names), name=""), columns=barcodes)
    adt = pd.DataFrame(proteins.to_numpy()[order].T, index=pd.Index(proteins.columns, name=""), columns=barcodes)
    write_csv_gz(folder / "rna_umi.csv.gz", rna, index=True)
    write_csv_gz(folder / "adt_umi.csv.gz", adt, index=True)
    truth = _latent_table(config, cells).assign(species="human").reindex(range(n)).iloc[order].reset_index(drop=True)
    truth["species"] = truth["species"].fillna("mouse")
    truth.insert(0, "barcode", barcodes)
    truth.to_parquet(folder.parent / TRUTH_SEQUENCED_NAME, index=False)
    return n


def _latent_table(config: IfcConfig, cells: LatentCells) -> pd.DataFrame:
    names = np.array(list(config.populations), dtype=object)
    table = pd.DataFrame({"population": names[cells.population]})
    for number, marker in enumerate(config.markers):
        table[f"level_{marker}"] = cells.levels[:, number]
    return table


def _barcodes(n: int, rng: np.random.Generator) -> list[str]:
    """Return ``n`` different barcodes of 16 bases."""
    found: dict[str, None] = {}
    while len(found) < n:
        found.update(dict.fromkeys("".join(row) for row in _BASES[rng.integers(4, size=(n, 16))]))
    return list(found)[:n]
