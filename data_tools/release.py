"""The published data of Image2Omics made ready for ingest: plate map, tables of targets, a config.

``data/GT/<modality>_<stimulation>.csv`` has a row per well and gene. It names no condition: wells that have the same
labels are taken for one. The order of genes is that of their first appearance, which is the order of the
outputs of the authors' networks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from data_tools.readers.plates import READERS
from data_tools.wells import normalise_well
from framework.durable import replacing_files, write_text
from framework.errors import InputError
from framework.files.failures import check_regular, reading
from framework.files.h5_writing import write_h5ad
from framework.files.outputs import check_output_folder
from framework.result import Result

_PLATE, _WELL, _GENE = "plate_barcode", "well_id", "gene/protein"
_VALUES = ("measured (absolute)", "measured", "absolute")
_FOLDS = ("fold", "split", "set")
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_WITHOUT = "none"
_BETWEEN = "\x1f"
"""Between plate and well while wells are counted; a sign that no barcode holds."""
_ROWS_PER_READ = 2_000_000
_WHAT = "a table of ground truth of Image2Omics"


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """One table: labels of wells.

    Attributes:
        name: name of the file without its suffix, as ``transcriptomics_m1``; it becomes the name of the target.
        wells: (plate, well) of each row.
        genes: in order of first appearance.
        values: float64 (wells, genes), NaN where there is no row.
        folds: part of each well; ``none`` where the table does not say.
    """

    name: str
    wells: tuple[tuple[str, str], ...]
    genes: tuple[str, ...]
    values: npt.NDArray[np.float64]
    folds: tuple[str, ...]

    @property
    def stimulation(self) -> str:
        """What stands behind the last underscore, as ``M1``."""
        return self.name.rpartition("_")[2].upper()


@dataclass(frozen=True, kw_only=True, repr=False)
class ReleaseSummary(Result):
    """What was prepared.

    Attributes:
        config: for ``wellstream ingest``.
        plates: their barcodes.
        wells: with labels.
        conditions: told by their labels.
        targets: name and number of genes of each.
    """

    config: Path
    plates: tuple[str, ...]
    wells: int
    conditions: int
    targets: tuple[str, ...]


def import_release(
    data: Path | str, out: Path | str, *, value: str | None = None, fold: str | None = None
) -> ReleaseSummary:
    """Prepare the published data of Image2Omics for ``wellstream ingest``.

    Args:
        data: folder with ``ICF``, ``TILES`` and ``GT``.
        out: folder to write ``platemap.csv``, ``<target>.h5ad`` and ``ingest.yaml`` to.
        value: column of the labels; None: ``measured (absolute)`` or ``measured``.
        fold: column of the part; None: ``fold``, ``split`` or ``set``, where there is one.

    Raises:
        InputError: a folder that is missing, a table that cannot be used, or images of another layout.
        OSError: the folder cannot be written; what was there before stays whole.
    """
    root, folder = Path(data), Path(out)
    check_output_folder(folder)
    for part in ("ICF", "TILES", "GT"):
        if not (root / part).is_dir():
            raise InputError(f"{root}: no folder {part}; expected the folder with ICF, TILES and GT of the release")
    files = sorted((root / "GT").glob("*.csv*"))
    if not files:
        raise InputError(f"{root / 'GT'}: no .csv; expected tables such as transcriptomics_m1.csv")
    tables = [read_ground_truth(file, value, fold) for file in files]
    platemap = _platemap(tables)
    plates = tuple(sorted(set(platemap["Metadata_Plate"])))
    config = _config(root.absolute(), folder.absolute(), plates, tables)
    with replacing_files(folder, "ingest.yaml") as beside:
        write_text(beside / "platemap.csv", platemap.to_csv(index=False, lineterminator="\n"))
        for table in tables:
            write_h5ad(beside / f"{table.name}.h5ad", _as_anndata(table, platemap))
        write_text(beside / "ingest.yaml", config)
    return ReleaseSummary(
        config=folder / "ingest.yaml",
        plates=plates,
        wells=len(platemap),
        conditions=platemap["Metadata_Perturbation"].nunique(),
        targets=tuple(f"{table.name}: {len(table.genes)} genes" for table in tables),
    )


def read_ground_truth(file: Path, value: str | None = None, fold: str | None = None) -> GroundTruth:
    """Read a table with a row per well and gene, in pieces.

    Raises:
        InputError: no readable table, a column that is missing, a pair of well and gene twice, two folds of a well.
    """
    check_regular(file, InputError, _WHAT)
    with reading(file, InputError, _WHAT):
        names = list(pd.read_csv(file, nrows=0).columns)
        value, fold = _column(file, names, value, _VALUES, "--value"), _fold_column(file, names, fold)
        used = [_PLATE, _WELL, _GENE, value, *([fold] if fold else [])]
        for name in used[:3]:
            _column(file, names, name, (), "")
        kinds: dict[Hashable, Any] = dict.fromkeys(used, str) | {value: np.float64}
        wells: dict[str, int] = {}
        genes: dict[str, int] = {}
        rows, columns, values, folds = [], [], [], []
        for piece in pd.read_csv(
            file, usecols=used, dtype=kinds, chunksize=_ROWS_PER_READ, keep_default_na=False,
            na_values={value: ["", "NA", "NaN", "nan"]},
        ):  # fmt: skip
            rows.append(_numbered(piece[_PLATE] + _BETWEEN + piece[_WELL], wells))
            columns.append(_numbered(piece[_GENE], genes))
            values.append(piece[value].to_numpy(dtype=np.float64))
            folds.append(piece[fold].to_numpy(dtype=object) if fold else np.full(len(piece), _WITHOUT, dtype=object))
    if not wells:
        raise InputError(f"{file}: the table has no row; expected one per well and gene")
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = np.full((len(wells), len(genes)), np.nan)
    _refuse_twice(file, row * len(genes) + column, list(wells), list(genes))
    matrix[row, column] = np.concatenate(values)
    keys = [key.split(_BETWEEN) for key in wells]
    return GroundTruth(
        name=file.name.partition(".")[0],
        wells=tuple((plate, normalise_well(well)) for plate, well in keys),
        genes=tuple(genes),
        values=matrix,
        folds=_folds(file, row, np.concatenate(folds), keys),
    )


def _column(file: Path, names: list[str], wanted: str | None, usual: tuple[str, ...], option: str) -> str:
    found = [name for name in ((wanted,) if wanted else usual) if name in names]
    if found:
        return found[0]
    which = f"'{wanted}'" if wanted else f"of {', '.join(usual)}"
    then = f"; name it with {option}" if option else ""
    raise InputError(f"{file}: no column {which}; it has {', '.join(map(str, names[:12]))}{then}")


def _fold_column(file: Path, names: list[str], wanted: str | None) -> str | None:
    if wanted is not None:
        return _column(file, names, wanted, (), "--fold")
    return next((name for name in _FOLDS if name in names), None)


def _numbered(texts: pd.Series[str], known: dict[str, int]) -> npt.NDArray[np.int64]:
    """Return the number of each text; new ones get the next, in order of appearance."""
    codes, uniques = pd.factorize(texts)
    numbers = np.array([known.setdefault(str(text), len(known)) for text in uniques], dtype=np.int64)
    return numbers[codes]


def _refuse_twice(file: Path, place: npt.NDArray[np.int64], wells: list[str], genes: list[str]) -> None:
    counts = np.bincount(place, minlength=0)
    if counts.max() > 1:
        well, gene = divmod(int(counts.argmax()), len(genes))
        plate, name = wells[well].split(_BETWEEN)
        raise InputError(f"{file}: plate {plate} well {name} has '{genes[gene]}' twice; keep one row")


def _folds(file: Path, row: npt.NDArray[np.int64], said: npt.NDArray[Any], keys: list[list[str]]) -> tuple[str, ...]:
    of_row, texts = pd.factorize(said)
    parts = np.array([_PARTS.get(str(text).strip().lower(), str(text)) for text in texts])
    unknown = sorted({str(part) for part in parts} - {*_PARTS.values(), _WITHOUT})
    if unknown:
        raise InputError(
            f"{file}: the part '{unknown[0]}' is not one of train, val, test; name the right column with --fold"
        )
    first = np.zeros(len(keys), dtype=np.int64)
    first[row[::-1]] = of_row[::-1]
    differs = np.flatnonzero(parts[of_row] != parts[first[row]])
    if len(differs):
        plate, well = keys[int(row[differs[0]])]
        raise InputError(f"{file}: plate {plate} well {well} is in two parts; one split per table can be read")
    return tuple(str(parts[code]) for code in first)


def _platemap(tables: list[GroundTruth]) -> pd.DataFrame:
    """Return a row per well; wells of a plate with equal labels are one condition."""
    digests: dict[tuple[str, str], Any] = {}
    stimulation: dict[tuple[str, str], str] = {}
    for table in tables:
        for key, vector in zip(table.wells, table.values, strict=True):
            if stimulation.setdefault(key, table.stimulation) != table.stimulation:
                raise InputError(
                    f"{table.name}: plate {key[0]} well {key[1]} is in the tables of two stimulations, "
                    f"{stimulation[key]} and {table.stimulation}; keep one"
                )
            digests.setdefault(key, hashlib.sha256()).update(table.name.encode() + vector.tobytes())
    wells = sorted(digests)
    rows = pd.DataFrame(
        {
            "Metadata_Plate": [plate for plate, _ in wells],
            "Metadata_Well": [well for _, well in wells],
            "Metadata_Perturbation": [f"{stimulation[key]}-{digests[key].hexdigest()[:8]}" for key in wells],
            "Metadata_Stimulation": [stimulation[key] for key in wells],
        }
    )
    for table in tables:
        parts = dict(zip(table.wells, table.folds, strict=True))
        rows[fold_column(table.name)] = [parts.get(key, _WITHOUT) for key in wells]
    return rows


def fold_column(target: str) -> str:
    """Return the column of bags.parquet with the authors' part of each well."""
    return f"Metadata_Fold_{target}"


def _as_anndata(table: GroundTruth, platemap: pd.DataFrame) -> anndata.AnnData:
    """Return one row per condition: the labels that its wells share."""
    of_well = dict(zip(zip(platemap["Metadata_Plate"], platemap["Metadata_Well"], strict=True),
                       platemap["Metadata_Perturbation"], strict=True))  # fmt: skip
    conditions: dict[str, int] = {}
    for row, key in enumerate(table.wells):
        conditions.setdefault(of_well[key], row)
    names = list(conditions)
    obs = pd.DataFrame({"Metadata_Perturbation": names}, index=pd.Index(names))
    var = pd.DataFrame(index=pd.Index(table.genes))
    return anndata.AnnData(X=table.values[list(conditions.values())], obs=obs, var=var)


def _emission(channel: str) -> tuple[int, str]:
    """Return the emission in nm that the name of a channel states, as ``_em456``: HDF5 lists channels by name alone."""
    found = re.search(r"_em(\d+)", channel)
    return (int(found[1]) if found else 0, channel)


def _config(root: Path, folder: Path, plates: tuple[str, ...], tables: list[GroundTruth]) -> str:
    sources = [{"name": "image2omics", "path": str(root / "ICF"), "plate": plate} for plate in plates]
    entry = READERS.get("image2omics")
    channels = sorted(entry.build(entry.config.from_plain(sources[0])).channels, key=_emission)
    nucleus = next((name for name in channels if name.upper().startswith("HOECHST")), channels[0])
    omics = {"kind": "prepared", "perturbation": "Metadata_Perturbation", "stimulation": None, "plate": None,
             "min_share": 0.0, "wells_per_label": 1}  # fmt: skip
    plain = {
        "name": "image2omics",
        "plates": [
            {"source": source, "platemap": {"path": str(folder / "platemap.csv"), "partial": True}}
            for source in sources
        ],
        "channels": channels,
        "illumination": {"method": "none"},
        "nuclei": {"method": "image2omics", "channel": nucleus, "path": str(root / "TILES")},
        "tiles": {"size_px": 128},
        "omics": [{"name": table.name, "table": str(folder / f"{table.name}.h5ad"), **omics} for table in tables],
        "shards": {"bags_per_shard": 1},
        "on_error": "skip",
    }
    return "# Published data of Image2Omics; written by wellstream import-release.\n" + yaml.safe_dump(
        plain, sort_keys=False
    )
