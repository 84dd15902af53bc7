"""The folder a simulation is written to: whose it is, and tables whose bytes hold no time."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd

from framework.config import StrictModel, load_config, to_yaml
from framework.errors import ConfigError, InputError
from framework.files.outputs import need_folder_name

CONFIG_NAME = "simulate.yaml"


def claim(folder: Path, config: StrictModel) -> Path:
    """Return ``folder`` made and marked with the config.

    Raises:
        InputError: it is a file, or holds anything but an earlier (even unfinished) simulation of the same config.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder to write the simulation into, found a file; name another one")
    if folder.is_dir() and any(folder.iterdir()):
        marker = folder / CONFIG_NAME
        if not marker.is_file():
            raise InputError(
                f"{folder}: not empty and no earlier simulation (it has no {CONFIG_NAME}); "
                "name an empty or new folder, or empty this one"
            )
        try:
            earlier = load_config(marker, type(config))
        except ConfigError as error:
            raise InputError(
                f"{folder}: holds a simulation whose config this version cannot read; name a new folder. {error}"
            ) from None
        if earlier != config:
            changed = [key for key in config.plain() if earlier.plain()[key] != config.plain()[key]]
            raise InputError(
                f"{folder}: holds a simulation of another config (differs in {', '.join(changed)}); "
                f"name a new folder, or remove {folder} first"
            )
    need_folder_name(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_NAME).write_text(to_yaml(config), encoding="utf-8")
    return folder


def write_csv_gz(file: Path, table: pd.DataFrame, *, index: bool = False) -> None:
    """Write a CSV in a gzip whose header holds no time and no name."""
    text = table.to_csv(index=index, lineterminator="\n", float_format="%.6g")
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as stream:
        stream.write(text.encode("utf-8"))
    file.write_bytes(buffer.getvalue())
