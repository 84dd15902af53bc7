"""Omics tables as STARsolo and Cell Ranger write them: a barcode is a sample, and the sheet says which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from data_tools.formats.feature_barcode import FeatureBarcodes, read_folder, read_h5
from data_tools.omics.config import OmicsConfig
from data_tools.omics.gct import WHAT
from data_tools.omics.raw import RawOmics
from framework.errors import InputError, did_you_mean
from framework.files.failures import check_memory
from framework.files.hdf5 import top_names
from framework.files.sparse import about_repeated, repeated_places

_NAMINGS = ("id", "name")


def is_ten_x(file: Path) -> bool:
    """Return whether a path is a folder of three files, or HDF5 that is neither AnnData nor MuData."""
    if file.is_dir():
        return True
    names = top_names(file)
    of_anndata = names >= {"obs", "var"} or "mod" in names
    return bool(names) and not of_anndata and file.suffix.lower() not in (".h5ad", ".h5mu")


def read_ten_x(config: OmicsConfig, file: Path, sheet: frozenset[str] | None) -> RawOmics:
    """Read a matrix of features and barcodes; only barcodes of the sheet, where there is one.

    Raises:
        InputError: no readable matrix, features of several kinds of which none is chosen, or no barcode of the sheet.
    """
    if config.gene_names not in (None, *_NAMINGS):
        raise InputError(
            f"{file}: 'gene_names: {config.gene_names}' is not known for a 10x matrix; write 'id' (the "
            "default) or 'name'"
        )
    found = read_folder(file) if file.is_dir() else read_h5(file)
    if not found.barcodes:
        raise InputError(f"{file}: holds no barcode; expected one per sample; export it again")
    chosen = _features(config, file, found)
    rows = np.array([sheet is None or barcode in sheet for barcode in found.barcodes], dtype=bool)
    if not rows.any():
        rows[:] = True  # joining the sheet says what differs
    check_memory(file, int(rows.sum()) * int(chosen.sum()) * 8, InputError, WHAT, "name the samples in a 'sheet'")
    repeated = about_repeated(repeated_places(found.values))
    values = sparse.csr_array(found.values)[rows][:, chosen].toarray().astype(np.float64)
    names = [barcode for barcode, kept in zip(found.barcodes, rows, strict=True) if kept]
    left = len(rows) - len(names)
    genes = np.array(found.names if config.gene_names == "name" else found.ids, dtype=object)[chosen]
    return RawOmics(
        file=file,
        facts=pd.DataFrame({"sample": np.array(names, dtype=object)}),
        genes=tuple(genes),
        ids=tuple(np.array(found.ids, dtype=object)[chosen]),
        values=values,
        rows=[f"sample '{name}'" for name in names],
        declared=True,
        notes=(
            *(f"{file}: {note}" for note in repeated),
            *(
                (f"{file}: {left} of {len(rows)} barcodes are not samples of the sheet and are left out",)
                if left
                else ()
            ),
        ),
    )


def _features(config: OmicsConfig, file: Path, found: FeatureBarcodes) -> np.ndarray:
    kinds = found.kinds or [""] * len(found.ids)
    known = [kind or "none stated" for kind in dict.fromkeys(kinds)]
    if config.modality is None:
        if len(known) > 1:
            raise InputError(f"{file}: has features of the kinds {', '.join(known)}; choose one with 'modality:'")
        return np.ones(len(kinds), dtype=bool)
    if config.modality not in kinds:
        raise InputError(
            f"{file}: no feature of the kind '{config.modality}'; it has {', '.join(known)}"
            + did_you_mean(config.modality, known)
        )
    return np.array([kind == config.modality for kind in kinds], dtype=bool)
