"""One small omics table in every form: three samples, two genes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, OmicsTable, read_omics


@pytest.fixture
def frame() -> pd.DataFrame:
    """Samples in rows."""
    return pd.DataFrame(
        {
            "sample": ["s2", "s1", "s3"],
            "Metadata_Plate": ["R1", "R1", "R2"],
            "Metadata_Perturbation": ["a", "b", "a"],
            "Metadata_Stimulation": ["M1", "M1", "M2"],
            "g1": [1, 2, 3],
            "g2": [0, 5, 7],
        }
    )


@pytest.fixture
def read() -> Callable[..., OmicsTable]:
    """Read a file with further keys."""

    def read_file(file: Path, **changes: Any) -> OmicsTable:
        return read_omics(OmicsConfig.from_plain({"name": "rna", "table": str(file), "kind": "counts", **changes}))

    return read_file
