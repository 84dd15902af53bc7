"""Predictions of four targets whose r2 is known, shared by the tests of figures."""

from __future__ import annotations

import pytest
from fixtures.omics_predictions import write_predictions

from framework.report.figure_inputs import FigureInputs

GENES = tuple(f"G{number:02d}" for number in range(30))


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> FigureInputs:
    """Inputs with the predictions alone; read once, written to by nobody."""
    return FigureInputs(predictions=write_predictions(tmp_path_factory.mktemp("predictions"), GENES, splits=2))
