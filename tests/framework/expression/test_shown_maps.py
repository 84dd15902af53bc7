"""Maps of imaged cells, as a file of ``wellstream saliency`` holds them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.errors import InputError
from framework.expression.shown_maps import shown_maps


def arrays() -> dict[str, Any]:
    return {
        "tile": np.array([4, 7]),
        "images": np.zeros((2, 3, 5, 5), np.uint16),
        "maps": np.arange(2 * 1 * 3 * 5 * 5, dtype=np.float32).reshape(2, 1, 3, 5, 5),
        "outputs": np.array(["CD3"]),
        "channels": np.array(["a", "b", "c"]),
        "dataset_digest": np.array("abc"),
    }


def shown(file: Path) -> Any:
    config: Any = SimpleNamespace(saliency=str(file), predictions="p.h5ad", names={}, part="test")
    rows, population = pd.DataFrame({"tile": [7, 4]}), pd.Categorical(["high", "low"])
    imaged: Any = SimpleNamespace(dataset_digest="abc", rows=rows, population=population)
    return shown_maps(config, ("CD3",), imaged)


def test_the_largest_channel_of_each_cell_by_population(tmp_path: Path) -> None:
    np.savez(tmp_path / "maps.npz", **arrays())
    found = shown(tmp_path / "maps.npz")
    assert (found.tile.tolist(), found.population.tolist()) == ([7, 4], ["high", "low"])
    np.testing.assert_array_equal(found.maps, arrays()["maps"][[1, 0]][:, :, 2])


@pytest.mark.parametrize("name", ["tile", "images", "maps", "outputs", "channels"])
def test_arrays_of_another_shape_are_named(tmp_path: Path, name: str) -> None:
    flat = arrays() | {name: arrays()[name].ravel()[:1].reshape(1, 1) if name != "maps" else arrays()[name].ravel()}
    np.savez(tmp_path / "maps.npz", **flat)
    with pytest.raises(InputError, match=r"maps\.npz: expected tile \(n,\), outputs \(M,\), images .* found tile "):
        shown(tmp_path / "maps.npz")
