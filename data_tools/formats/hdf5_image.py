"""Images that lie as datasets in HDF5 files, several per file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework.files.hdf5 import open_hdf5

_TYPES = ("uint8", "uint16", "float32")


def decode_hdf5(file: Path, inside: str) -> npt.NDArray[Any]:
    """Return one grey image of an HDF5 file.

    Args:
        file: the file.
        inside: name of the dataset, as ``channel/fov_0``.

    Returns:
        (H, W) uint8, uint16 or float32, in native byte order.

    Raises:
        FileNotFoundError: no such file.
        InputError: no HDF5, no such dataset, not two axes, or another type of pixel.
    """
    if not file.exists():
        raise FileNotFoundError(file)
    with open_hdf5(file, error=InputError, what="an HDF5 file of images", then="copy it again", checked=True) as opened:
        found = opened.get(inside)
        if not isinstance(found, h5py.Dataset):
            raise InputError(f"no dataset '{inside}'; it has {', '.join(sorted(map(str, opened))[:6])}")
        if found.ndim != 2 or found.dtype.newbyteorder("=").name not in _TYPES:
            raise InputError(
                f"'{inside}' is {found.dtype} with {found.ndim} axes, expected an image (H, W) of {', '.join(_TYPES)}"
            )
        return np.asarray(found[()]).astype(found.dtype.newbyteorder("="), copy=False)
