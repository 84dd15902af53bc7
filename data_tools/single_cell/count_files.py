"""The formats that counts of single cells come in: text, 10x folders and files, AnnData, MuData."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from scipy import sparse

from data_tools.single_cell.counts import GENE, LANES, Counts, check_counts, counts_of, csr
from data_tools.single_cell.counts_10x import read_10x_folder, read_10x_h5
from data_tools.single_cell.counts_anndata import read_h5ad, read_h5mu
from framework.errors import InputError
from framework.files.delimited import read_numbers_matrix
from framework.files.hdf5 import top_names

WHAT = "a table of counts (genes x cells)"
_TEXT = (".csv", ".tsv", ".txt", ".tab")
_PACKED = (".gz", ".bz2", ".xz")
_EXPECTED = "expected .csv, .tsv (also .gz), .h5ad, .h5mu, a 10x .h5 or a 10x folder with matrix.mtx.gz"
_HDF5_KINDS = ((("mod",), ".h5mu"), (("obs", "var"), ".h5ad"), (("matrix",), ".h5"))
"""Groups that tell what an HDF5 file is."""
_OTHERS = {
    ".xlsx": "an Excel workbook, which turns the genes SEPT1 and MARCH1 into dates; save the counts as CSV",
    ".xls": "an Excel workbook, which turns the genes SEPT1 and MARCH1 into dates; save the counts as CSV",
    ".rds": "an R object; in R: write10xCounts(FOLDER, counts), or zellkonverter::writeH5AD",
    ".rdata": "R objects; in R: write10xCounts(FOLDER, counts), or zellkonverter::writeH5AD",
    ".h5seurat": "a Seurat file; in R: write10xCounts(FOLDER, counts), or convert it to .h5ad",
    ".loom": "a Loom file; in Python: anndata.read_loom(FILE).write_h5ad(NEW)",
    ".mtx": "a matrix without names; name the folder in which its barcodes and features lie too",
    ".gct": "a GCT file; save it as CSV, genes x cells, without its Description column",
    ".parquet": "a Parquet file; save it as CSV or .h5ad",
    ".sqlite": "an SQLite database; save the counts as CSV or .h5ad",
    ".db": "a database; save the counts as CSV or .h5ad",
    ".zarr": "a Zarr store; in Python: anndata.read_zarr(FOLDER).write_h5ad(NEW)",
    ".zip": "an archive; unpack it",
    ".tar": "an archive; unpack it",
}


def read_counts(
    path: Path | str, kind: str = GENE, *, layer: str | None = None, obsm: str = "markers", fractional: bool = False
) -> Counts:
    """Read a table of counts.

    Args:
        path: see ``SingleCellConfig.genes``.
        kind: kind of the features of a file that does not say.
        layer: layer of an ``.h5ad`` or ``.h5mu`` to take instead of ``X``; ``raw`` for its ``raw``.
        obsm: entry of an ``.h5ad`` with proteins beside its genes.
        fractional: whether counts may be other than whole numbers.

    Raises:
        InputError: no such file, a format not known, no layer, text among numbers, counts that are negative, not finite
            or not whole, names twice.
    """
    file = Path(path)
    if not file.exists():
        raise InputError(f"{file}: no such file or folder; expected counts of single cells")
    name = file.name.lower()
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    suffix = Path(name).suffix
    suffix = _by_content(file, suffix)
    if layer is not None and suffix not in (".h5ad", ".h5mu"):
        raise InputError(f"{file}: has no layers, only .h5ad and .h5mu files do; leave out the layer '{layer}'")
    read, way_out = _reader(file, suffix, layer, obsm)
    return check_counts(read(file, kind), file, fractional=fractional, way_out=way_out(file))


def _by_content(file: Path, suffix: str) -> str:
    """Return the suffix that an HDF5 file should have by what it holds, whatever it is called."""
    found = top_names(file)
    if not found:
        return suffix
    for names, right in _HDF5_KINDS:
        if found.issuperset(names):
            return right
    return ".h5" if suffix in (*_TEXT, *_OTHERS, "") else suffix


def _reader(
    file: Path, suffix: str, layer: str | None, obsm: str
) -> tuple[Callable[[Path, str], Counts], Callable[[Path], str]]:
    if suffix in _OTHERS:
        raise InputError(f"{file}: {_OTHERS[suffix]}; {_EXPECTED}")
    if file.is_dir():
        return read_10x_folder, _name_counts
    if suffix in _TEXT:
        return _read_text, _name_counts
    if suffix == ".h5ad":
        return partial(read_h5ad, layer=layer, obsm=obsm), _name_layer
    if suffix == ".h5mu":
        return partial(read_h5mu, layer=layer), _name_layer
    if suffix in (".h5", ".hdf5"):
        return read_10x_h5, _name_counts
    raise InputError(f"{file}: {_EXPECTED}")


def _name_counts(file: Path) -> str:
    return "Name the table of raw counts, or set 'fractional: true' where a program corrects counts (SoupX, alevin)"


def _name_layer(file: Path) -> str:
    return (
        "Set 'layer' (of proteins 'protein_layer') to the layer with raw counts, or to raw, or set 'fractional: true' "
        "where a program corrects counts (SoupX, alevin)"
    )


def _read_text(file: Path, kind: str) -> Counts:
    """Genes x cells; read in pieces, so that the dense table is never in memory."""
    pieces, names = [], list[str]()
    for block in read_numbers_matrix(file, what=WHAT, twice=f"{LANES}; else rename or remove one"):
        pieces.append(csr(block.values, dtype="float32"))
        names += block.rows
    return counts_of(csr(sparse.vstack(pieces).T), block.columns, names, [kind] * len(names), block.notes)
