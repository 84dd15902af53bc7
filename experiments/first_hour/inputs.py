"""What each newcomer has at the start: real exports, copied, or simulated cells as one TIFF each."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import tifffile

from data_tools.formats.tiff import decode_grey
from data_tools.simulate import IfcConfig, simulate_ifc
from framework.errors import InputError

CELLS = IfcConfig(cells=600, sequenced_cells=600, foreign_cells=50)
"""Imaged and sequenced cells of one experiment."""
TREATMENTS = {"B02": "DMSO", "B03": "vemurafenib", "B04": "trametinib"}
"""Names lent to three untreated wells, so that they share names with the columns of the omics table."""


def phenix(data: Path, folder: Path) -> None:
    """Copy three wells of a Harmony export to ``raw``, with a plate map and the omics table of another laboratory."""
    _copied(data / "phenix-4i-round1" / "images", folder / "raw")
    _copied(data / "l1000-a375-plate" / "test_l1000.gct", folder / "test_l1000.gct")
    lines = ["Well,Treatment,Control"]
    lines += [f"{well},{name},{'negcon' if name == 'DMSO' else 'treatment'}" for well, name in TREATMENTS.items()]
    (folder / "platemap.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def imagexpress(data: Path, folder: Path) -> None:
    """Copy files that are named as an ImageXpress names them to ``raw``."""
    _copied(data / "imagexpress-yokogawa" / "ImageXpress" / "Projection-Mix", folder / "raw")


def three_things(folder: Path, configs: Sequence[str], simulated: IfcConfig = CELLS) -> None:
    """Simulate what *Expression per imaged cell* begins with.

    One TIFF of four pages per cell below ``cells``, ``intensities.csv`` and ``sequenced.h5ad`` with its proteins in
    ``obsm``; and the configs of the page.

    Args:
        folder: an empty folder.
        configs: texts of YAML files that begin with a comment that names the file.
        simulated: how many cells, genes and so on.

    Raises:
        InputError: a config that begins otherwise.
    """
    simulate_ifc(simulated, folder / "simulated")
    (folder / "cells").mkdir()
    for cell in range(simulated.cells):
        images = folder / "simulated" / "images"
        pages = [decode_grey(images / f"SIM_{cell}_Ch{number}.ome.tif") for number in (1, 2, 3, 6)]
        tifffile.imwrite(folder / f"cells/run1_{cell:05d}.tif", np.stack(pages), photometric="minisblack")
    measured = pd.read_csv(folder / "simulated/features.txt", sep="\t", skiprows=4)
    names = {"Object Number": "cell", "Intensity_MC_Ch02": "CD34", "Intensity_MC_Ch03": "FcgR"}
    measured[list(names)].rename(columns=names).to_csv(folder / "intensities.csv", index=False)
    genes, proteins = (
        pd.read_csv(folder / f"simulated/citeseq/{name}_umi.csv.gz", index_col=0).T for name in ("rna", "adt")
    )
    sequenced = anndata.AnnData(genes.astype(np.float32))
    sequenced.obsm["protein"] = proteins.loc[genes.index]
    sequenced.write_h5ad(folder / "sequenced.h5ad")
    for text in configs:
        named = re.match(r"# (\w+\.yaml)\n", text)
        if named is None:
            raise InputError(f"a config of the page begins with '{text[:30]}', expected '# NAME.yaml'")
        (folder / named[1]).write_text(text, encoding="utf-8")


def _copied(source: Path, target: Path) -> None:
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; --data names the folder that holds it")
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
