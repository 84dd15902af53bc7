"""The S3 protocol against moto's server, a process of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_dataset import stored_tiles
from fixtures.tiny_run import tiny_data
from fixtures.web import Proxy, await_port, free_port

from framework.data.dataset import Dataset
from framework.data.remote.cache import CacheConfig
from framework.data.store import TileStore
from framework.data.verify import verify_dataset
from framework.errors import DatasetError

pytestmark = [
    pytest.mark.skipif(find_spec("s3fs") is None, reason="no s3fs; pip install '.[remote]'"),
    pytest.mark.skipif(find_spec("moto") is None or find_spec("flask") is None, reason="no moto[server]; '.[dev]'"),
]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Dataset, Proxy]]:
    """A dataset, and the proxy before the server that holds its copy in ``s3://screens/tiny``."""
    local, port = tiny_data(tmp_path / "local"), free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_port(port, server)
        put(f"http://127.0.0.1:{port}/screens", b"")
        for file in (path for path in local.root.rglob("*") if path.is_file()):
            put(f"http://127.0.0.1:{port}/screens/tiny/{file.relative_to(local.root)}", file.read_bytes())
        with Proxy(target=port).running() as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
            monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield local, proxy
    finally:
        server.terminate()
        server.wait(timeout=10)


def put(url: str, content: bytes) -> None:
    # moto asks for some signature and checks none.
    head = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request",
        "Content-Type": "application/x-tar",
    }
    urllib.request.urlopen(urllib.request.Request(url, data=content, method="PUT", headers=head), timeout=30).close()  # noqa: S310 - our own server


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
