"""Tables with one row per transcript of a spatial experiment: which cell it lies in, of which gene, and where.

Xenium, CosMx and MERSCOPE write such tables, as CSV or Parquet, with columns of other names. A table is read in pieces:
17 bytes per transcript stay in memory, whatever else a row holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data_tools.readers.cells.transcript_names import (
    any_of,
    cell_names,
    levels,
    named_by_field,
    numbered,
    refuse_shortened,
    used,
)
from framework.config import StrictModel
from framework.errors import InputError, did_you_mean, some_of
from framework.files.delimited import iterate_text_table
from framework.files.parquet import open_parquet
from framework.files.typed_tables import is_parquet

Unit = Literal["px", "um"]
_WHAT, _THEN = "a table of transcripts", "correct 'table', or export it again"
_ROWS_AT_ONCE = 500_000
_NAMES: Mapping[str, Mapping[str, Unit | None]] = {
    "field": {"fov": None},
    "cell": {"cell_id": None, "cell": None, "cell_ID": None, "EntityID": None},
    "gene": {"feature_name": None, "target": None, "gene": None},
    "x": {
        "x_px": "px",
        "x_location": "um",
        "x_local_px": "px",
        "x_global_px": "px",
        "global_x": "um",
        "x_centroid": "um",
        "CenterX_local_px": "px",
        "CenterX_global_px": "px",
        "center_x": "um",
    },
    "y": {
        "y_px": "px",
        "y_location": "um",
        "y_local_px": "px",
        "y_global_px": "px",
        "global_y": "um",
        "y_centroid": "um",
        "CenterY_local_px": "px",
        "CenterY_global_px": "px",
        "center_y": "um",
    },
    "nucleus": {"overlaps_nucleus": None, "CellComp": None},
    "quality": {"qv": None},
}
"""Column of a transcript, or of a cell, -> the names it has in exports of Xenium, CosMx and MERSCOPE, with the unit of
places."""
_NUMBERED_PER_FIELD = "cell_ID"
"""CosMx counts cells anew in each field of view."""
_LOCAL = frozenset(name for role in ("x", "y") for name in _NAMES[role] if "_local_" in name)
"""Places within a field of view."""
_OPTIONAL = ("field", "nucleus", "quality")
_OF_CELLS = ("field", "cell", "x", "y")
_NUMBERS = frozenset({"x", "y", "quality"})
_INSIDE = {"1": True, "true": True, "nuclear": True, "0": False, "false": False, "cytoplasm": False, "membrane": False}
"""Text of the column ``nucleus``, in lower case -> whether the transcript lies over a nucleus."""


class TranscriptColumns(StrictModel):
    """Names of columns in a table of transcripts; one that is not given is looked for under its usual names.

    Attributes:
        field: column with the field of view of a cell, where cells are numbered anew in each: it becomes a part of
            their names. ``fov`` is taken beside ``cell_ID``, and where places are those within a field.
        cell: column with the cell that a transcript lies in.
        gene: column with its gene.
        x, y: column with its position.
        nucleus: column that says whether it lies over a nucleus: 1 or 0, true or false, ``Nuclear`` or ``Cytoplasm``.
        quality: column with its quality, which is compared with ``min_quality``.
    """

    field: str | None = None
    cell: str | None = None
    gene: str | None = None
    x: str | None = None
    y: str | None = None
    nucleus: str | None = None
    quality: str | None = None


@dataclass(frozen=True, kw_only=True)
class Transcripts:
    """The transcripts that lie in cells and are of genes.

    Attributes:
        cells: names, in alphabetical order.
        genes: names in alphabetical order.
        cell: int32 (n,), place in ``cells``.
        gene: int32 (n,), place in ``genes``.
        x, y: float32 (n,), in the unit of the table.
        nucleus: bool (n,), whether it lies over a nucleus; all False where the table does not say.
        unit: unit of x and y; None where the names of the columns do not say.
        has_nucleus: whether the table says which lie over nuclei.
        notes: what was taken and what was left out.
    """

    cells: list[str]
    genes: list[str]
    cell: npt.NDArray[np.int32]
    gene: npt.NDArray[np.int32]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    nucleus: npt.NDArray[np.bool_]
    unit: Unit | None
    has_nucleus: bool
    notes: tuple[str, ...]

    def counts(self) -> npt.NDArray[np.float32]:
        """Return how often each gene was seen in each cell, (cells, genes)."""
        table = np.zeros((len(self.cells), len(self.genes)), dtype=np.float32)
        np.add.at(table, (self.cell, self.gene), np.float32(1))
        return table

    def centres(self, *, nuclear: bool) -> npt.NDArray[np.float64]:
        """Return the median place (y, x) of the transcripts of each cell, (cells, 2); NaN for a cell without any.

        Args:
            nuclear: of those over nuclei alone.
        """
        rows = self.nucleus if nuclear else np.ones(len(self.cell), dtype=np.bool_)
        places = pd.DataFrame({"y": self.y[rows], "x": self.x[rows]}).groupby(self.cell[rows]).median()
        return places.reindex(range(len(self.cells))).to_numpy(np.float64)


def read_transcripts(
    path: str,
    columns: TranscriptColumns,
    *,
    no_cell: Sequence[str],
    not_genes: Sequence[str],
    min_quality: float | None,
    of_cells: bool = False,
    field: str | None = None,
) -> Transcripts:
    """Read a table of transcripts.

    Args:
        path: .csv, .tsv (plain or packed) or .parquet.
        columns: names of its columns.
        no_cell: patterns of names of cells that mean: in none; capitals do not matter.
        not_genes: patterns of names that are not genes (controls, blanks), ``*`` for any text; capitals do not matter.
        min_quality: transcripts below it are left out; None keeps all.
        of_cells: a row is the place of a cell, and there is no column of genes: each row counts as a transcript of a
            gene without a name.
        field: the field of view that counts; None for all.

    Raises:
        InputError: no such table, a column that is missing, a place that is not a number, places within several fields
            of view, or not one transcript left.
    """
    file = Path(path)
    names = _found(path, _header(file), columns, _OF_CELLS if of_cells else tuple(_NAMES))
    if field is not None and "field" not in names:
        raise InputError(f"{path}: no column says the field of view; name it with 'columns: {{field: NAME}}'")
    collected = _Collected(
        no_cell=any_of([each.lower() for each in no_cell]),
        not_gene=any_of([each.lower() for each in not_genes]),
        min_quality=min_quality,
        field=field,
        by_field=columns.field is not None or names["cell"] == _NUMBERED_PER_FIELD,
        local=names["x"] in _LOCAL,
    )
    for piece in _pieces(file, names):
        collected.add(piece, path)
    return collected.done(path, names)


def _header(file: Path) -> list[str]:
    if is_parquet(file):
        with open_parquet(file, error=InputError, what=_WHAT, then=_THEN) as opened:
            return [str(name) for name in opened.schema_arrow.names]
    return list(next(iterate_text_table(file, what=_WHAT, rows_at_once=1)).names)


def _found(path: str, header: Sequence[str], columns: TranscriptColumns, roles: Sequence[str]) -> dict[str, str]:
    """Return role -> name of the column, for each of ``roles`` that the table has a column of."""
    names: dict[str, str] = {}
    for role in roles:
        usual = _NAMES[role]
        given = getattr(columns, role)
        name = given or next((each for each in usual if each in header), None)
        if name is None and role in _OPTIONAL:
            continue
        if name is None or name not in header:
            tried = f"'{given}'" if given else " or ".join(f"'{each}'" for each in usual)
            raise InputError(
                f"{path}: no column {tried} for '{role}'; it has {some_of(header)}; write 'columns: {{{role}: NAME}}'"
                + (did_you_mean(given, header) if given else "")
            )
        names[role] = name
    local = [names[role] in _LOCAL for role in ("x", "y")]
    if any(local) and not all(local):
        raise InputError(
            f"{path}: x from '{names['x']}' and y from '{names['y']}': one is a place within a field of view, the "
            "other is not; name both in 'columns'"
        )
    if not (columns.field or names["cell"] == _NUMBERED_PER_FIELD or all(local)):
        names.pop("field", None)  # the cells of MERSCOPE have names of their own
    return names


def _pieces(file: Path, names: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Yield a table in pieces with a column per role: numbers as float64, others as they are."""
    wanted = list(dict.fromkeys(names.values()))
    if not is_parquet(file):
        for table in iterate_text_table(file, what=_WHAT, rows_at_once=_ROWS_AT_ONCE, columns=wanted):
            yield pd.DataFrame(
                {role: table.numbers(name) if role in _NUMBERS else table.column(name) for role, name in names.items()}
            )
        return
    with open_parquet(file, error=InputError, what=_WHAT, then=_THEN) as opened:
        for role in _NUMBERS & names.keys():
            kind = opened.schema_arrow.field(names[role]).type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise InputError(
                    f"{file}: '{names[role]}' for '{role}' holds {kind}, expected numbers; correct 'columns'"
                )
        for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted):
            batch.validate(full=True)
            yield pd.DataFrame({role: _typed(batch.column(name), role) for role, name in names.items()})


def _typed(column: pa.Array, role: str) -> pd.Series[Any]:
    """Return a column of Parquet; names that are whole numbers keep all their digits, also beside a missing one."""
    typed = role not in _NUMBERS and pa.types.is_integer(column.type)
    series: pd.Series[Any] = column.to_pandas(types_mapper=_WHOLE.get if typed else None)
    return series


_WHOLE = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}  # fmt: skip
"""Whole numbers of Arrow -> those of pandas that know missing values."""


class _Collected:
    """What is kept of a table while its pieces come in."""

    def __init__(
        self,
        *,
        no_cell: re.Pattern[str],
        not_gene: re.Pattern[str],
        min_quality: float | None,
        field: str | None,
        by_field: bool,
        local: bool,
    ) -> None:
        self._no_cell, self._not_gene, self._min_quality = no_cell, not_gene, min_quality
        self._field, self._by_field, self._local = field, by_field, local
        self._fields: dict[str, None] = {}
        self._cells: dict[str, int] = {}
        self._genes: dict[str, int] = {}
        self._controls: set[str] = set()
        self._kept: list[tuple[npt.NDArray[Any], ...]] = []
        self._rows = self._outside = self._of_controls = self._poor = self._without_gene = 0

    def add(self, piece: pd.DataFrame, path: str) -> None:
        """Keep the transcripts of a piece that lie in cells, are of genes and good enough."""
        if "field" in piece:
            piece = self._of_field(piece)
        cell, cells = levels(piece["cell"])
        cells = cell_names(cells)
        gene, genes = levels(piece["gene"] if "gene" in piece else pd.Series([""] * len(piece)))
        control = np.array([bool(self._not_gene.match(name.lower())) for name in genes], dtype=np.bool_)
        self._controls |= {name for name, is_control in zip(genes, control, strict=True) if is_control}
        nameless = np.array([not name and "gene" in piece for name in genes], dtype=np.bool_)
        outside = np.array([bool(self._no_cell.match(name.lower())) for name in cells], dtype=np.bool_)[cell]
        if self._by_field:
            cell, cells = named_by_field(piece["field"], cell, cells)
        without_gene = ~outside & nameless[gene]
        of_control = ~outside & control[gene]
        poor = np.zeros(len(piece), dtype=np.bool_)
        if self._min_quality is not None and "quality" in piece:
            poor = (
                ~outside & ~of_control & ~without_gene & ~(piece["quality"].to_numpy(np.float64) >= self._min_quality)
            )
        self._rows += len(piece)
        self._outside += int(outside.sum())
        self._of_controls += int(of_control.sum())
        self._poor += int(poor.sum())
        self._without_gene += int(without_gene.sum())
        keep = ~(outside | of_control | poor | without_gene)
        x, y = (piece[role].to_numpy(np.float32)[keep] for role in ("x", "y"))
        placed = np.isfinite(x) & np.isfinite(y)
        if not placed.all():
            lost = cells[cell[keep][~placed][0]]
            raise InputError(f"{path}: a transcript of cell '{lost}' has no place; {_THEN}")
        inside = _nuclear(piece["nucleus"][keep], path) if "nucleus" in piece else np.zeros(len(x), dtype=np.bool_)
        self._kept.append(
            (numbered(cells, self._cells)[cell[keep]], numbered(genes, self._genes)[gene[keep]], x, y, inside)
        )

    def _of_field(self, piece: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the field of view that counts, and remember which there are."""
        place, fields = levels(piece["field"])
        self._fields |= dict.fromkeys(fields)
        if self._field is None:
            return piece
        mine = np.array([name == self._field for name in fields], dtype=np.bool_)[place]
        return piece[mine].reset_index(drop=True)

    def _check_fields(self, path: str) -> None:
        shown = some_of(list(self._fields))
        if self._field is not None and self._field not in self._fields:
            raise InputError(f"{path}: no field of view '{self._field}'; it has {shown}; correct 'field'")
        if self._field is None and self._local and len(self._fields) > 1:
            raise InputError(
                f"{path}: its places are those within a field of view, of which it has {len(self._fields)} ({shown}); "
                "write 'field: NAME' beside the image of that field, or take places in one image of all: 'columns: "
                "{x: x_global_px, y: y_global_px}'"
            )

    def done(self, path: str, names: Mapping[str, str]) -> Transcripts:
        """Return all that was kept, with a sentence on what was taken and left out."""
        self._check_fields(path)
        cell, gene, x, y, nucleus = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        left = f"{self._outside} in no cell, {self._of_controls} of {len(self._controls)} controls"
        left += f", {self._without_gene} without a gene" if self._without_gene else ""
        left += f", {self._poor} below the quality {self._min_quality:g}" if self._min_quality is not None else ""
        if not len(cell):
            raise InputError(
                f"{path}: none of {self._rows} rows is left ({left}); correct 'columns', 'no_cell', "
                "'not_genes' or 'min_quality'"
            )
        cells, cell = used(list(self._cells), cell)
        refuse_shortened(cells, path)
        genes, gene = used(list(self._genes), gene)
        units = {_NAMES[role].get(names[role]) for role in ("x", "y")}
        taken = ", ".join(f"{role} from '{name}'" for role, name in names.items())
        return Transcripts(
            cells=cells,
            genes=genes,
            cell=cell,
            gene=gene,
            x=x,
            y=y,
            nucleus=nucleus,
            unit=units.pop() if len(units) == 1 else None,
            has_nucleus="nucleus" in names,
            notes=(f"{path}: {taken}", f"{path}: {len(cell)} of {self._rows} rows are used; left out: {left}"),
        )


def _nuclear(column: pd.Series[Any], path: str) -> npt.NDArray[np.bool_]:
    codes, texts = levels(column)
    known = [_INSIDE.get(text.lower().removesuffix(".0")) for text in texts]
    if None in known:
        raise InputError(
            f"{path}: '{texts[known.index(None)]}' in the column of 'nucleus'; expected 1 or 0, true or false, Nuclear "
            "or Cytoplasm; correct 'columns'"
        )
    return np.array(known, dtype=np.bool_)[codes]
