"""Where a command may write: under a name that says what is written, and never over a file that it reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from framework.durable import check_can_be_file, check_can_be_folder
from framework.errors import ConfigError

_OF_FILES = re.compile(
    r"\.(bmp|cif|csv|daf|fcs|gif|gmt|gz|h5|h5ad|h5mu|hdf5|html?|jpe?g|jsonl?|loom|md|npy|npz|parquet|pdf|pickle|pkl|png|"
    r"pth?|py|rds|safetensors|svg|tar|tiff?|toml|tsv|txt|xlsx?|xml|ya?ml|zip)",
    re.IGNORECASE,
)
"""Endings that people give to files alone."""


def check_output_file(out: Path | str, ending: str, reads: Iterable[object] = ()) -> None:
    """Refuse, before long work, a file to write that would surprise: by its name, or by what it replaces.

    Args:
        out: the file.
        ending: what its name must end in, such as ``.h5ad``: so a file of another kind is not replaced.
        reads: what the command reads, see ``check_not_read``.

    Raises:
        ConfigError: another ending, or ``out`` is read.
        OSError: it is a folder, or its folder is closed to us.
    """
    file = Path(out)
    if file.suffix != ending and not file.is_dir():
        raise ConfigError(
            f"{file}: the output is an {ending} file; expected a name that ends in {ending}, such as "
            f"{file.stem or 'out'}{ending}"
        )
    check_can_be_file(file)
    check_not_read([file], reads)


def check_output_folder(out: Path | str, files: Iterable[str] = (), reads: Iterable[object] = ()) -> None:
    """Refuse, before long work, a folder to write that has the name of a file, or whose files would replace an input.

    Args:
        out: the folder. One that is there may have any name.
        files: names of files that are written into it, as far as they are known.
        reads: what the command reads, see ``check_not_read``.

    Raises:
        ConfigError: it ends like a file, or a file in it is read.
        OSError: it, or a folder above it, is a file or closed to us.
    """
    folder = Path(out)
    check_can_be_folder(folder)
    need_folder_name(folder)
    check_not_read([folder / name for name in files], reads)


def need_folder_name(folder: Path) -> None:
    """Refuse a new folder whose name ends like that of a file: somebody expects a file there.

    Raises:
        ConfigError: it does.
    """
    if _OF_FILES.fullmatch(folder.suffix) and not folder.is_dir():
        raise ConfigError(
            f"{folder}: the output is a folder, and this name ends like that of a file; expected the name of a folder, "
            f"such as {folder.stem}"
        )


def check_not_read(writes: Iterable[Path], reads: Iterable[object]) -> None:
    """Refuse files to write that are what a command reads, under any of their names.

    Args:
        writes: the files.
        reads: the files. Whatever is not a path, or not there, is passed over.

    Raises:
        ConfigError: one is read.
    """
    places = [Path(each) for each in reads if isinstance(each, str | Path)]
    for file in writes:
        if any(_is_same(file, place) for place in places):
            raise ConfigError(
                f"{file}: is read by this command, and would be replaced by its output; give the output another name"
            )


def _is_same(file: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):  # not there, closed to us, or a name that cannot be one
        return os.path.samefile(file, other)
    return False
