"""Surface proteins: the centred log ratio of their counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def centred_log_ratio(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return log(x + 1) minus its mean over the proteins of the cell, float64 (cells, proteins).

    Stoeckius et al. 2017 normalise protein counts so; it equals their published table for cord blood (GSE100866).
    """
    logs = np.log1p(np.asarray(counts, dtype=np.float64))
    centred: npt.NDArray[np.float64] = logs - logs.mean(axis=1, keepdims=True)
    return centred
