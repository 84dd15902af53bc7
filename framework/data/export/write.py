"""``export DATASET --to FORMAT``: the folder appears when all of it is written; else nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.config import load_config
from framework.data.dataset import Dataset
from framework.data.export.base import EXPORTS
from framework.data.export.cells import CellSource
from framework.data.format.schema import MANIFEST_NAME
from framework.data.remote.download import is_url
from framework.durable import new_folder
from framework.errors import DatasetError
from framework.files.outputs import check_output_folder
from framework.progress import OnProgress
from framework.result import Result


@dataclass(frozen=True, kw_only=True, repr=False)
class DatasetExport(Result):
    """A dataset in another format.

    Attributes:
        folder: folder that was written.
        to: the format.
        sources: plates, or exports of cells.
        bags: bags that have a cell, each of which was written.
        empty_bags: without a cell; nothing was written of them.
        cells: cells that were written, each with one tile.
        channels: in the order of the files.
        files: images, tables and tarballs.
        size: bytes of all files.
        notes: what a reader of the files must know.
    """

    folder: Path
    to: str
    sources: int
    bags: int
    empty_bags: int
    cells: int
    channels: tuple[str, ...]
    files: int
    size: int
    notes: tuple[str, ...]


def export_dataset(
    dataset: Dataset | Path | str,
    out: Path | str,
    *,
    to: str,
    channels: Sequence[str] = (),
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
) -> DatasetExport:
    """Write the cells of a dataset in a format that others read.

    Args:
        dataset: a dataset, its folder or its URL.
        out: folder to write; it must not be there, or be empty.
        to: entry of ``EXPORTS``.
        channels: to export, in this order; default: all as stored.
        overrides: options of the format as text, such as ``["per=bag"]``.
        progress: called with ("export", done, total) in cells.

    Raises:
        RegistryError: no such format.
        ConfigError: no such option of the format.
        DatasetError: a dataset that cannot be read, that is damaged or holds no cell, a channel that it does not have,
            or a folder that holds files.
        OSError: the files cannot be written.
    """
    entry = EXPORTS.get(to)
    options = load_config({"name": to}, entry.config, overrides)
    opened, folder = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset), Path(out)
    _need_free(folder)
    check_output_folder(folder)
    cells = CellSource(opened, channels)
    if not len(cells):
        raise DatasetError(f"{opened.where}: holds no cells, so there is nothing to export")
    written = 0

    def done(count: int) -> None:
        nonlocal written
        written += count
        if progress:
            progress("export", written, len(cells))

    done(0)
    with new_folder(folder) as beside:
        made = entry.build(options, cells, beside, done)
    bags = opened.bags
    filled = int((bags["n_tiles"] > 0).sum())
    return DatasetExport(
        folder=folder,
        to=to,
        sources=opened.manifest.n_sources,
        bags=filled,
        empty_bags=len(bags) - filled,
        cells=len(cells),
        channels=cells.channels,
        files=made.files,
        size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        notes=made.notes,
    )


def _need_free(folder: Path) -> None:
    """Refuse a folder that holds files, before anything is read."""
    if folder.is_dir() and any(folder.iterdir()):
        raise DatasetError(f"{folder}: holds files already; name a new folder after --out")


def is_dataset(place: Path | str) -> bool:
    """Return whether a folder holds a dataset; whatever is named by a URL is taken for one."""
    return is_url(str(place)) or (Path(place) / MANIFEST_NAME).is_file()
