"""Theme ``knn``: leave-one-out neighbours of single cells, against scikit-learn's brute force on the same features.

Limit: the float32 matrix product both must do, block by block. All arms must name the same neighbours, or the
comparison is void; the features are drawn without ties, whose order scikit-learn leaves open.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from benchmarks.harness import Arm, Finding, Measured, Target, digest, measure
from framework.features.neighbours import nearest, standardise

CELLS, FEATURES, CLASSES, K = 30_889, 384, 17, 11
_BLOCK = 512
_MOST_S = 60.0


def cells(n: int, d: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return standardised features (n, d) of cells in classes that overlap."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(CLASSES, d))
    drawn = centres[random.integers(0, CLASSES, n)] + 2 * random.normal(size=(n, d))
    return standardise(drawn.astype(np.float32))[0]


def run(*, quick: bool) -> list[Measured]:
    """Measure the paper's 30,889 cells with the 384 features of its conv4; ``quick`` takes a tenth of the cells."""
    points = cells(CELLS // 10 if quick else CELLS, FEATURES)
    own = np.arange(len(points))
    found: dict[str, npt.NDArray[np.int64]] = {}

    def ours() -> None:
        found["ours"] = nearest(points, points, K, query_groups=own, reference_groups=own).rows

    def theirs() -> None:
        search = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(points)
        # Without queries, each point is left out of its own neighbours.
        found["theirs"] = search.kneighbors(return_distance=False).astype(np.int64)

    def product() -> None:
        for start in range(0, len(points), _BLOCK):
            np.matmul(points[start : start + _BLOCK], points.T)

    arms = [
        Arm(name="matrix product alone", work=product, is_limit=True),
        Arm(name="scikit-learn brute force", work=theirs, result=lambda: digest(found["theirs"])),
        Arm(name="wellstream", work=ours, result=lambda: digest(found["ours"])),
    ]
    costs = measure(arms, 3)
    seconds = float(np.median(costs.seconds["wellstream"]))
    bound = {} if quick else {"most": _MOST_S}
    return [
        Measured(
            theme="knn",
            case=f"leave-one-out, {len(points):,} cells x {FEATURES} features, k = {K}",
            unit="cells",
            items=len(points),
            item_bytes=FEATURES * 4,
            costs=costs,
            limit="matrix product alone",
            targets=(Target(arm="wellstream", over="scikit-learn brute force", least=1.0),),
            findings=(Finding(name="wellstream, all cells", value=seconds, unit="s", **bound),),
        )
    ]
