"""Writes an imaging flow cytometry experiment as IDEAS exports it: a TIFF a cell and channel, and a table of features.

The TIFFs carry what the real ones do, a FillOrder of 0 that no standard allows included, and no time: equal pixels give
equal bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.simulate.ifc_config import IfcConfig

_SHORT, _LONG, _RATIONAL = 3, 4, 5
_PREAMBLE = "The following feature values were exported from the file:\r\n{sample}.daf\r\nPopulation: All\r\n\r\n"


def image_name(sample: str, number: int, channel: int) -> str:
    """Return ``<sample>_<object>_Ch<n>.ome.tif``; objects from 0, channels from 1."""
    return f"{sample}_{number}_Ch{channel}.ome.tif"


def write_image(file: Path, image: npt.NDArray[np.uint16], number: int) -> None:
    """Write object ``number``, (H, W), as an uncompressed 16-bit greyscale TIFF."""
    height, width = image.shape
    pixels = image.astype("<u2").tobytes()
    tags = [
        (256, _LONG, width),
        (257, _LONG, height),
        (258, _SHORT, 16),
        (259, _SHORT, 1),
        (262, _SHORT, 1),
        (266, _SHORT, 0),
        (273, _LONG, 0),
        (277, _SHORT, 1),
        (278, _LONG, height),
        (279, _LONG, len(pixels)),
        (282, _RATIONAL, 0),
        (283, _RATIONAL, 0),
        (284, _SHORT, 1),
        (296, _SHORT, 1),
        (33003, _LONG, number),
    ]
    after = 8 + 2 + 12 * len(tags) + 4
    at = {273: after + 8, 282: after, 283: after}
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, at.get(tag, value)) for tag, kind, value in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<III", 0, 1, 1)
    file.write_bytes(head + pixels)


def write_features(file: Path, config: IfcConfig, features: pd.DataFrame) -> None:
    """Write the table of features, tab-separated below the lines IDEAS puts before a header."""
    text = features.to_csv(sep="\t", index=False, lineterminator="\r\n", float_format="%.6g")
    file.write_bytes((_PREAMBLE.format(sample=config.sample) + text).encode("utf-8"))
