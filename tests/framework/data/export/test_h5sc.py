"""The file of scPortrait, read by AnnData and by h5py alone."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from fixtures.tiny_dataset import make_dataset, stored_tiles

from framework.data.export import export_dataset


def test_anndata_reads_cells_and_images_as_scportrait_lays_them_out(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=3, markers=("CD3",))
    export_dataset(dataset, tmp_path / "out", to="h5sc")
    file = tmp_path / "out" / "single_cells.h5sc"
    cells = anndata.read_h5ad(file)
    assert cells.shape == (24, 2)
    assert cells.var["channels"].tolist() == ["A", "B"]
    assert cells.var["channel_mapping"].tolist() == ["image_channel", "image_channel"]
    assert cells.obs["cell_id"].dtype == np.uint64
    assert cells.obs["cell_id"].tolist() == list(range(1, 25))
    assert cells.obs["bag_name"].tolist() == ["A01"] * 7 + ["A02"] * 9 + ["A03"] * 8
    assert cells.uns["single_cell_images"]["n_cells"] == 24
    with h5py.File(file) as opened:
        images = opened["obsm/single_cell_images"]
        assert (images.shape, images.chunks, images.dtype) == ((24, 2, 16, 16), (1, 1, 16, 16), np.float16)
        facts = dict(images.attrs)
        assert [name.decode() for name in facts["channel_names"]] == ["A", "B"]
        assert [name.decode() for name in facts["channel_mapping"]] == ["image_channel", "image_channel"]
        assert (facts["n_masks"], facts["n_image_channels"], facts["encoding-type"]) == (0, 2, "array")
        found = images[...]
    np.testing.assert_array_equal(found, cells.obsm["single_cell_images"])
    pixels = stored_tiles(dataset).astype(np.float64)
    cuts = [dataset.manifest.channel_statistics[name].percentiles for name in "AB"]
    for channel, cut in enumerate(cuts):
        wanted = np.clip((pixels[:, channel] - cut["0.1"]) / (cut["99.9"] - cut["0.1"]), 0, 1)
        np.testing.assert_allclose(found[:, channel].astype(np.float64), wanted, atol=2**-11)


@pytest.mark.parametrize(("how", "dtype"), [("cell", np.float16), ("none", np.float32)])
def test_other_scales(tmp_path: Path, how: str, dtype: type) -> None:
    dataset = make_dataset(tmp_path / "data", bags=1)
    export_dataset(dataset, tmp_path / "out", to="h5sc", overrides=[f"normalise={how}"], channels=("B",))
    pixels = stored_tiles(dataset)[:, 1:].astype(np.float32)
    with h5py.File(tmp_path / "out" / "single_cells.h5sc") as opened:
        found = opened["obsm/single_cell_images"][...]
    assert found.dtype == dtype
    if how == "none":
        np.testing.assert_array_equal(found, pixels)
    else:
        assert (found.min((2, 3)) == 0).all()
        assert (found.max((2, 3)) == 1).all()
