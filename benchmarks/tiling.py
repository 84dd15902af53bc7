"""Theme ``tiling``: finding nuclei in a field, against the paper's recipe written down with scipy and scikit-image.

Limit: decoding the TIFFs of the same field (three LZW channels) and nothing else. Our arms must agree with the
reference, >= 99 % of its centres within 2 px, or the comparison is void.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu

from benchmarks.harness import Arm, Finding, Measured, Target, WrongPixels, measure
from data_tools.nuclei import IntensityPeaksConfig, LogBinaryConfig, NucleiConfig, find_nuclei, match_centres
from data_tools.tiles import tiles_inside
from framework.data.format.tile_index import tile_corner

DIAMETER_PX = 24.0
N_NUCLEI = 150
AGREEMENT = 0.99
WITHIN_PX = 2.0
SPEED = 6.0
TILE_PX = 128


def field(size_px: int, seed: int = 0) -> npt.NDArray[np.uint16]:
    """Return a drawn field of elliptical nuclei on a noisy background, uint16 (size_px, size_px)."""
    random = np.random.default_rng(seed)
    image = np.full((size_px, size_px), 200.0, dtype=np.float32)
    for y, x in random.uniform(20, size_px - 20, size=(N_NUCLEI * size_px**2 // 1080**2, 2)):
        axes = tuple(int(value) for value in random.normal(DIAMETER_PX / 2, 1.0, 2))
        angle, level = float(random.uniform(0, 180)), float(random.uniform(1500, 3000))
        cv2.ellipse(image, (int(x), int(y)), axes, angle, 0, 360, level, -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.0) + random.normal(0, 20, image.shape).astype(np.float32)
    return np.clip(image, 0, 65535).astype(np.uint16)


def reference(image: npt.NDArray[Any], sigma: float) -> npt.NDArray[np.float64]:
    """The paper's steps (Mehrizi 2023, Image Preprocessing): Otsu, Laplacian of Gaussian of the mask, maxima."""
    binary = ndimage.median_filter(image, 3) > threshold_otsu(image)
    response = -ndimage.gaussian_laplace(binary.astype(np.float64), sigma) * sigma**2
    centres = peak_local_max(response, min_distance=1, threshold_abs=1e-6, labels=binary.astype(int))
    return centres.astype(np.float64)


def run(*, quick: bool) -> list[Measured]:
    """Measure one field; ``quick`` uses a smaller one and fewer repetitions.

    Raises:
        WrongPixels: our centres are not the reference's.
    """
    image = field(540 if quick else 1080)
    stack = np.stack([image, image[::-1], image.T])
    stream = io.BytesIO()
    tifffile.imwrite(stream, stack, compression="lzw", photometric="minisblack")
    config = LogBinaryConfig(channel="nuclei", diameter_px=DIAMETER_PX)
    default = IntensityPeaksConfig(channel="nuclei", diameter_px=DIAMETER_PX)
    truth = reference(image, DIAMETER_PX / np.sqrt(8))
    found = match_centres(find_nuclei(image, config).centres(), truth, WITHIN_PX)
    if found.recall < AGREEMENT:
        raise WrongPixels(f"only {found.recall:.3f} of the reference's centres found within {WITHIN_PX} px")

    def decode() -> None:
        stream.seek(0)
        tifffile.imread(stream)

    arms = [
        Arm(name="decode 3 TIFFs", work=decode, is_limit=True),
        Arm(name="scipy + scikit-image", work=lambda: reference(image, DIAMETER_PX / np.sqrt(8))),
        Arm(name="wellstream log_binary", work=lambda: find_nuclei(image, config)),
        Arm(name="wellstream default", work=lambda: find_nuclei(image, default)),
        Arm(name="wellstream default and cutting tiles", work=lambda: _cut(stack, default)),
    ]
    ours = ("wellstream log_binary", "wellstream default")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        costs = measure(arms, 3 if quick else 9)
    finally:
        cv2.setNumThreads(threads)
    agreed = Finding(name="reference centres found within 2 px", value=found.recall, unit="share", least=AGREEMENT)
    return [
        Measured(
            theme="tiling",
            case=f"a field of {len(image)} px, one core",
            unit="fields",
            items=1,
            item_bytes=stack.nbytes,
            costs=costs,
            limit="decode 3 TIFFs",
            targets=tuple(Target(arm=arm, over="scipy + scikit-image", least=SPEED) for arm in ours),
            findings=(agreed,),
        )
    ]


def _cut(stack: npt.NDArray[np.uint16], config: NucleiConfig) -> npt.NDArray[np.uint16]:
    """Find nuclei and copy every tile that lies inside, as an ingest does."""
    nuclei = find_nuclei(stack[0], config)
    shape = (stack.shape[1], stack.shape[2])
    inside = tiles_inside(nuclei.y_px, nuclei.x_px, TILE_PX, shape)
    corners = zip(tile_corner(nuclei.y_px[inside], TILE_PX), tile_corner(nuclei.x_px[inside], TILE_PX), strict=True)
    return np.stack([stack[:, y : y + TILE_PX, x : x + TILE_PX] for y, x in corners])
