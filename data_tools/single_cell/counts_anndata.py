"""Counts in AnnData and MuData files: X, a layer or ``raw``, with proteins in ``var``, ``obsm`` or a modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from data_tools.single_cell.counts import GENE, LANES, PROTEIN, Counts, counts_of, csr, kind_of
from framework.errors import InputError, did_you_mean, some_of
from framework.files.hdf5 import open_hdf5
from framework.files.names import left_over
from framework.files.sparse import check_groups

RAW = "raw"
_KIND = "feature_types"
_OBSM_OF_PROTEINS = ("protein", "prot", "adt", "antibody", "marker")


def read_h5ad(file: Path, kind: str, *, layer: str | None, obsm: str) -> Counts:
    """Read the counts of an AnnData file, and the proteins beside them in ``obsm``.

    ``var["feature_types"]`` says what features are. Where it names no protein, those of ``obsm[obsm]`` follow the
    features of ``X``, which are then genes.

    Raises:
        InputError: no readable file, no such layer, or an ``obsm`` entry without names.
    """
    with open_hdf5(file, error=InputError, what="an AnnData file") as store:
        check_groups(store)
        _check_anndata(store, file)
        beside = store[f"obsm/{obsm}"] if "obsm" in store and obsm in store["obsm"] else None
        found = _read(store, GENE if beside is not None else kind, layer, file)
        if beside is None:
            return found
        if (found.kinds == PROTEIN).any():
            text = f"{file}: obsm['{obsm}'] is not read, as var['{_KIND}'] says which features are proteins"
            return counts_of(found.values, found.cells, found.features, found.kinds, (*found.notes, text))
        names, values, said = _named_matrix(store, obsm, file)
        return counts_of(
            sparse.hstack([found.values, csr(values, dtype=np.float32)]),
            found.cells,
            [*found.features, *names],
            [*found.kinds, *[PROTEIN] * len(names)],
            (*found.notes, f"{file}: {len(names)} proteins from obsm['{obsm}']{said}"),
        )


def read_h5mu(file: Path, kind: str, *, layer: str | None) -> Counts:
    """Read genes and proteins of a MuData file, by the names of its modalities, in the cells that have both.

    Raises:
        InputError: no readable file, no modality of genes or proteins, or no cell in both.
    """
    with open_hdf5(file, error=InputError, what="a MuData file") as store:
        check_groups(store)
        if "mod" not in store:
            raise InputError(f"{file}: no group 'mod'; expected a MuData file with mod/rna and mod/prot")
        names = list(store["mod"])
        chosen = [name for kind in (GENE, PROTEIN) for name in names if kind_of(name) == kind]
        if not chosen:
            raise InputError(f"{file}: its modalities are {some_of(names)}; expected rna and prot")
        having = [name for name in chosen if _layer_of(store["mod"][name], layer) is not None]
        if layer is not None and not having:
            known = sorted({str(entry) for name in chosen for entry in store["mod"][name].get("layers", ())})
            raise InputError(
                f"{file}: no layer '{layer}' in {', '.join(chosen)}; they have {', '.join(known) or 'none'}"
                + did_you_mean(layer, known)
            )
        parts = [
            _read(store["mod"][name], kind_of(name), _layer_of(store["mod"][name], layer), file) for name in chosen
        ]
    notes = [note for part in parts for note in part.notes]
    if layer is not None and len(having) < len(chosen):
        others = [name for name in chosen if name not in having]
        notes.append(f"{file}: '{layer}' is a layer of {', '.join(having)}; {', '.join(others)} gives X")
    if len(chosen) < len(names):
        left = [name for name in names if name not in chosen]
        notes.append(f"{file}: the modalities {', '.join(left)} are left out; genes and proteins are used")
    _check_cells(parts, chosen, file)
    cells = parts[0].cells
    for part, name in zip(parts[1:], chosen[1:], strict=True):
        shared = cells[cells.isin(part.cells)]
        mine, theirs = cells[~cells.isin(part.cells)], part.cells[~part.cells.isin(cells)]
        if not len(shared):
            raise InputError(
                f"{file}: no cell of '{chosen[0]}' ('{cells[0]}', ...) is one of '{name}' ('{part.cells[0]}', ...)"
            )
        text = f"{file}: {len(shared)} of {len(cells)} cells of '{chosen[0]}' are in '{name}' too"
        text += left_over(len(mine), "are not", f"'{next(iter(mine), '')}'")
        notes.append(text + left_over(len(theirs), f"of '{name}' are alone", f"'{next(iter(theirs), '')}'"))
        cells = shared
    return counts_of(
        sparse.hstack([part.values[part.cells.get_indexer(cells)] for part in parts]),
        cells,
        [name for part in parts for name in part.features],
        [name for part in parts for name in part.kinds],
        notes,
    )


def _check_cells(parts: Sequence[Counts], names: Sequence[str], file: Path) -> None:
    """Refuse modalities whose cells cannot be joined by name."""
    for part, name in zip(parts, names, strict=True):
        if not len(part.cells):
            raise InputError(f"{file}: the modality '{name}' holds no cell; remove it, or write the file again")
        twice = part.cells[part.cells.duplicated()]
        if len(twice):
            raise InputError(
                f"{file}: the cell '{twice[0]}' appears twice in the modality '{name}'; expected distinct names; "
                f"{LANES}"
            )


def _check_anndata(store: h5py.File, file: Path) -> None:
    if "obs" in store and "var" in store and isinstance(store["obs"], h5py.Group):
        return
    raise InputError(
        f"{file}: no AnnData file (or one of a version before 0.7): expected the groups obs and var, found "
        f"{', '.join(store) or 'nothing'}; write it again with anndata"
    )


def _read(store: Any, kind: str, layer: str | None, file: Path) -> Counts:
    """Return the counts of an AnnData group; ``kind`` where ``var`` does not say."""
    where, var = "X", store["var"]
    if layer == RAW and "raw" in store:
        where, var = "raw/X", store["raw/var"]
    elif layer is not None:
        where = f"layers/{layer}"
    if where not in store or store[where].attrs.get("encoding-type") == "null":
        layers = [*store.get("layers", ()), *([RAW] if "raw" in store else [])]
        what = "X" if layer is None else f"layer '{layer}'"
        ways = f"set 'layer' to one of: {', '.join(layers)}" if layers else "it has no layer either"
        raise InputError(f"{file}: no counts in {what}; {ways}" + did_you_mean(layer or "counts", layers))
    kinds = _texts(anndata.io.read_elem(var[_KIND])) if _KIND in var else None
    features = _index(var)
    values = anndata.io.read_elem(store[where])
    if getattr(values, "dtype", np.dtype(object)).kind not in "iufb":
        raise InputError(f"{file}: {where} holds no numbers")
    cells = _index(store["obs"])
    if values.shape != (len(cells), len(features)):
        sizes = " x ".join(map(str, values.shape))
        raise InputError(
            f"{file}: {store.name.lstrip('/')}{'/' * (store.name != '/')}{where} holds {sizes} numbers, but obs names "
            f"{len(cells)} cells and {var.name.lstrip('/')} {len(features)} features; write the file again with anndata"
        )
    return counts_of(values, cells, features, kinds or [kind] * len(features))


def _layer_of(store: Any, layer: str | None) -> str | None:
    """A layer that a modality does not have is that of another: it gives X."""
    has = layer is not None and (layer in store.get("layers", ()) or (layer == RAW and "raw" in store))
    return layer if has else None


def _index(group: Any) -> list[str]:
    return _texts(anndata.io.read_elem(group[group.attrs.get("_index", "_index")]))


def _texts(values: Any) -> list[str]:
    return ["" if pd.isna(value) else str(value) for value in np.asarray(values, dtype=object).tolist()]


def _named_matrix(store: h5py.File, obsm: str, file: Path) -> tuple[list[str], Any, str]:
    """Return names and values (cells, names) of an entry of obsm, and where names were found that it lacks itself."""
    what = f"obsm['{obsm}']"
    table = anndata.io.read_elem(store[f"obsm/{obsm}"])
    if not isinstance(table, pd.DataFrame):
        if table.ndim != 2 or table.dtype.kind not in "iufb":
            raise InputError(
                f"{file}: {what} is not a matrix of numbers (cells, proteins); expected counts of proteins"
            )
        key, names = _names_in_uns(store, obsm, table.shape[1], file)
        return names, csr(table, dtype=np.float32), f", called as uns['{key}'] says"
    rows, cells = [str(name) for name in table.index], _index(store["obs"])
    if rows != cells:
        apart = next((place for place, pair in enumerate(zip(rows, cells, strict=False)) if pair[0] != pair[1]), 0)
        raise InputError(
            f"{file}: row {apart + 1} of {what} is called '{rows[apart] if rows else ''}', the cell there "
            f"'{cells[apart] if cells else ''}'; expected the cells of obs in their order: write the file again with "
            "anndata, or name the proteins' own file in 'proteins'"
        )
    text = [str(name) for name in table.columns if table[name].dtype.kind not in "iufb"]
    if text:
        raise InputError(f"{file}: column '{text[0]}' of {what} holds no numbers; expected counts of proteins")
    return [str(name) for name in table.columns], table.to_numpy(dtype=np.float32), ""


def _names_in_uns(store: h5py.File, obsm: str, count: int, file: Path) -> tuple[str, list[str]]:
    """Return the list of texts in ``uns`` that names the columns of a matrix: by its name, or the only one so long.

    Raises:
        InputError: no such list, or several.
    """
    lists = {name: _list_of_text(item) for name, item in store["uns"].items()} if "uns" in store else {}
    known = {name: found for name, found in lists.items() if found is not None and len(found) == count}
    called = [name for name in known if name.lower() in (f"{obsm}_names".lower(), "protein_names")]
    chosen = called if len(called) == 1 else list(known)
    if len(chosen) == 1:
        return chosen[0], known[chosen[0]]
    others = f"; uns has several lists of {count} names ({', '.join(chosen)})" if chosen else ""
    raise InputError(
        f"{file}: obsm['{obsm}'] has no names of proteins{others}; store a pandas DataFrame with one column per "
        f"protein there, or a list of their {count} names as uns['{obsm}_names']"
    )


def _list_of_text(item: Any) -> list[str] | None:
    if not isinstance(item, h5py.Dataset) or item.ndim != 1 or h5py.check_string_dtype(item.dtype) is None:
        return None
    return [str(name) for name in item.asstr()[:]]


def proteins_elsewhere(file: Path) -> str:
    """Return a hint about entries of obsm that may hold proteins; empty where there is none."""
    if file.suffix.lower() != ".h5ad":
        return ""
    with open_hdf5(file, error=InputError, what="an AnnData file", checked=True) as store:
        names = [str(name) for name in store.get("obsm", ())]
    likely = [name for name in names if any(word in name.lower() for word in _OBSM_OF_PROTEINS)]
    return f", or set 'obsm: {likely[0]}'" if likely else ""
