"""Files of a finished dataset are replaced together: made beside it, then put in place, ``dataset.json`` last.

A replacement that was stopped while files were made left the dataset as it was. One that was stopped while they were
put in place goes on at the next call, because the new manifest is among them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_tools.pipeline.build.folder import explained, writing
from framework.data.format.schema import MANIFEST_NAME, Manifest
from framework.durable import sync_folder, write_json

_NAME = ".update"


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Give an empty folder for new files, after finishing a replacement that was stopped.

    Nothing of it is left at the end of the block, unless ``put_in_place`` has begun and is to go on.
    """
    finish(root)
    folder = root / _NAME
    try:
        with explained(root):
            shutil.rmtree(folder, ignore_errors=True)
        with writing(folder):
            yield folder
    finally:
        if not (folder / MANIFEST_NAME).is_file():
            shutil.rmtree(folder, ignore_errors=True)


def put_in_place(root: Path, manifest: Manifest) -> None:
    """Replace the files of a dataset by those in its staging folder, and its manifest by this one.

    Raises:
        DatasetError: writing failed; the next call goes on.
    """
    with explained(root):
        write_json(root / _NAME / MANIFEST_NAME, manifest.model_dump(mode="json"))
        sync_folder(root / _NAME)
    finish(root)


def finish(root: Path) -> bool:
    """Put in place what a stopped replacement has left; return whether there was anything."""
    folder = root / _NAME
    if not (folder / MANIFEST_NAME).is_file():
        return False
    with explained(root):
        files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST_NAME)
        for file in files:
            target = root / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(file, target)
        _move(folder / MANIFEST_NAME, root / MANIFEST_NAME)
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _move(file: Path, target: Path) -> None:
    os.replace(file, target)
    sync_folder(target.parent)
