"""How well found centres agree with known ones: one-to-one matching, nearest pair first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from framework.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Outcome of ``match_centres``.

    Attributes:
        pairs: int64 (P, 2), rows of found and truth that belong together, nearest pair first.
        distance_px: float64 (P,), their distances.
        n_found: centres found.
        n_truth: true centres.
    """

    pairs: npt.NDArray[np.int64]
    distance_px: npt.NDArray[np.float64]
    n_found: int
    n_truth: int

    @property
    def recall(self) -> float:
        """Share of true centres that were found; 1 where there are none."""
        return len(self.pairs) / self.n_truth if self.n_truth else 1.0

    @property
    def precision(self) -> float:
        """Share of found centres that are true; 1 where there are none."""
        return len(self.pairs) / self.n_found if self.n_found else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        return 2 * len(self.pairs) / (self.n_found + self.n_truth) if self.n_found + self.n_truth else 1.0


def match_centres(found: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], max_distance_px: float) -> Matching:
    """Match centres one to one, the nearest free pair first, up to a distance.

    Args:
        found: (F, 2), (y, x) in px.
        truth: (T, 2), the same.
        max_distance_px: pairs at most this far apart count.

    Returns:
        The pairs and what follows from them; equal distances go to the lower rows.

    Raises:
        InputError: not (n, 2) arrays.
    """
    for name, points in (("found", found), ("truth", truth)):
        if points.ndim != 2 or points.shape[1] != 2:
            raise InputError(f"{name} centres: expected an array (n, 2) of y and x, found shape {points.shape}")
    near = cKDTree(found).query_ball_point(truth, max_distance_px) if len(found) and len(truth) else []
    candidates = np.array([(f, t) for t, row in enumerate(near) for f in row], dtype=np.int64).reshape(-1, 2)
    distance = np.hypot(*(found[candidates[:, 0]] - truth[candidates[:, 1]]).astype(np.float64).T)
    kept: list[int] = []
    used_found, used_truth = np.zeros(len(found), dtype=bool), np.zeros(len(truth), dtype=bool)
    for index in np.lexsort((candidates[:, 1], candidates[:, 0], distance)):
        f, t = candidates[index]
        if not used_found[f] and not used_truth[t]:
            used_found[f] = used_truth[t] = True
            kept.append(int(index))
    return Matching(pairs=candidates[kept], distance_px=distance[kept], n_found=len(found), n_truth=len(truth))
