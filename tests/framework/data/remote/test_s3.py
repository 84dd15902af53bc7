"""The S3 protocol against moto's server, a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fixtures.s3 import needs_s3, put, s3_server
from fixtures.tiny_dataset import stored_tiles
from fixtures.tiny_run import tiny_data
from fixtures.web import Proxy

from framework.data.dataset import Dataset
from framework.data.remote.cache import CacheConfig
from framework.data.store import TileStore
from framework.data.verify import verify_dataset
from framework.errors import DatasetError

pytestmark = needs_s3


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Dataset, Proxy]]:
    """A dataset, and the proxy before the server that holds its copy in ``s3://screens/tiny``."""
    local = tiny_data(tmp_path / "local")
    with s3_server() as port:
        put(f"http://127.0.0.1:{port}/screens", b"")
        for file in (path for path in local.root.rglob("*") if path.is_file()):
            put(f"http://127.0.0.1:{port}/screens/tiny/{file.relative_to(local.root)}", file.read_bytes())
        with Proxy(target=port).running() as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
            monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield local, proxy


def test_a_dataset_in_a_bucket_reads_as_the_local_one(
    bucket: tuple[Dataset, Proxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, proxy = bucket
    settings = CacheConfig(folder=str(tmp_path / "cache"), stall_s=20.0)
    proxy.cuts += [0, 300, 2_000]
    remote = Dataset.open("s3://screens/tiny", settings)
    assert not proxy.cuts
    store = TileStore(remote)
    ids = np.random.default_rng(0).integers(0, len(store), 60)
    out = np.empty((60, *store.sample_shape), store.dtype)
    store.gather(ids, out)
    assert np.array_equal(out, stored_tiles(local)[ids])
    assert np.array_equal(remote.target("rna").X, local.target("rna").X)
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "cache"))
    assert "every size and BLAKE3 as recorded" in verify_dataset("s3://screens/tiny").sentences[0]
    with pytest.raises(DatasetError, match=r"s3://screens/other: no dataset.json there"):
        Dataset.open("s3://screens/other", settings)
