"""From an image of nuclei to their centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_tools.nuclei.config import NucleiConfig

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Nuclei:
    """Centres of nuclei, sorted by y, then x.

    Attributes:
        y_px: float32 (n,), row of the centre; the centre of the first pixel is 0.
        x_px: float32 (n,), column.
        score: float32 (n,), 0..1, how much the place looks like a nucleus of the expected size.
    """

    y_px: FloatImage
    x_px: FloatImage
    score: FloatImage

    def __len__(self) -> int:
        return len(self.y_px)


def find_nuclei(image: npt.NDArray[Any], config: NucleiConfig, pixel_size_um: float | None = None) -> Nuclei:
    """Find the nuclei of an image.

    Args:
        image: (H, W), uint8, uint16 or float32.
        config: method and expected diameter.
        pixel_size_um: needed where the diameter is in um.

    Returns:
        Centres with scores; none for an image without contrast.

    Raises:
        InputError: the diameter is in um and the pixel size unknown.
    """
    diameter = config.in_px(pixel_size_um)
    plain = cv2.medianBlur(image if image.dtype.kind == "u" else image.astype(np.float32), 3).astype(np.float32)
    sigma = diameter / (2 * np.sqrt(2))
    low, high = float(plain.min()), float(plain.max())
    if not high > low:
        return _sorted(np.zeros((0, 2)), np.zeros(0))
    levels = ((plain - low) * (255 / (high - low))).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask = levels > threshold if config.threshold == "otsu" else plain > config.threshold
    source = mask.astype(np.float32) if config.method == "log_binary" else (plain - low) / (high - low) * mask
    response = -cv2.Laplacian(cv2.GaussianBlur(source, (0, 0), sigma), cv2.CV_32F) * np.float32(sigma**2)
    reach = 2 * int(round(diameter / 4)) + 1
    peaks = (response == cv2.dilate(response, np.ones((reach, reach), np.uint8))) & mask & (response > 0.02)
    points = np.argwhere(peaks)
    return _sorted(points, np.clip(response[peaks], 0, 1))


def _sorted(points: npt.NDArray[Any], score: npt.NDArray[Any]) -> Nuclei:
    order = np.lexsort((points[:, 1], points[:, 0]))
    y, x = points[order].astype(np.float32).T
    return Nuclei(y_px=y, x_px=x, score=score[order].astype(np.float32))
