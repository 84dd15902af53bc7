from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_dataset import stored_tiles
from fixtures.tiny_run import TRIPLET, config, same_bits, tiny_data, weights
from fixtures.web import Nginx, Proxy, needs_nginx, serve

from framework.data.cache import CacheConfig
from framework.data.dataset import Dataset
from framework.data.plan import PlanUniverse, build_plan
from framework.data.prefetch import Prefetcher
from framework.data.remote import checked_url
from framework.data.store import TileStore
from framework.errors import ConfigError, DatasetError, without_secrets
from framework.run import fit


@pytest.fixture
def local(tmp_path: Path) -> Dataset:
    return tiny_data(tmp_path / "site" / "my data")


@pytest.fixture
def web(local: Dataset, tmp_path: Path) -> Iterator[Nginx]:
    with serve(local.root.parent, tmp_path / "nginx") as server:
        yield server


def settings(tmp_path: Path, **changes: object) -> CacheConfig:
    return CacheConfig.from_plain({"folder": str(tmp_path / "cache"), "stall_s": 2.0, **changes})


@needs_nginx
def test_a_remote_dataset_reads_as_the_local_one(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    remote = Dataset.open(f"{web.url}/my data/", settings(tmp_path))
    assert remote.bags.equals(local.bags)
    assert remote.nuclei().equals(local.nuclei())
    assert np.array_equal(remote.target("rna").X, local.target("rna").X)
    assert np.array_equal(remote.markers(("m1",)), local.markers(("m1",)), equal_nan=True)
    assert not web.requests(".tar"), "a shard waits for its first use"
    store = TileStore(remote)
    ids = np.random.default_rng(0).integers(0, len(store), 100)
    out = np.empty((100, *store.sample_shape), store.dtype)
    store.gather(ids, out)
    assert np.array_equal(out, stored_tiles(local)[ids])


@needs_nginx
def test_a_run_over_http_ends_with_the_same_weights(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    cache = [f"data.cache.folder={tmp_path / 'cache'}"]
    with Proxy(target=web.port, delay_s=0.01, cuts=[0, 5_000, 20_000, 3_000]).running() as proxy:
        fit(config(TRIPLET, *cache, f"data.path={proxy.url}/my data", run=tmp_path / "far", data=tmp_path))
    fit(config(TRIPLET, run=tmp_path / "near", data=local.root))
    assert same_bits(weights(tmp_path / "far", 12), weights(tmp_path / "near", 12))
    assert f"path: {proxy.url}/my data" in (tmp_path / "far" / "config.yaml").read_text()


@needs_nginx
def test_coming_shards_are_there_before_they_are_asked_for(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    remote = Dataset.open(f"{web.url}/my data", settings(tmp_path))
    plan = config(TRIPLET, run=tmp_path, data=tmp_path).plan
    assert plan is not None
    names = [record.name for record in remote.manifest.shards]
    built = build_plan(plan, PlanUniverse.of(remote, np.arange(24), ("Metadata_Perturbation",)), 0)
    Prefetcher(remote, built.at)(0, 3)
    wanted = {int(shard) for step in range(3) for shard in np.unique(remote.index.shard[built.at(step).tiles])}
    cached = tmp_path / "cache" / "files"
    for _ in range(500):
        if all((cached / remote.manifest.shards[shard].sha256).exists() for shard in wanted):
            break
        time.sleep(0.01)
    assert {name for name in names if web.requests(name)} == {names[shard] for shard in wanted}


@needs_nginx
def test_no_dataset_there_is_a_sentence(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no dataset.json there \(404\).*not finished"):
        Dataset.open(f"{web.url}/elsewhere", settings(tmp_path))
    with pytest.raises(DatasetError, match=r"access denied \(403\)"):
        Dataset.open(f"{web.url}/forbidden/x", settings(tmp_path))
    with pytest.raises(DatasetError, match="raise the limit"):
        Dataset.open(f"{web.url}/my data", settings(tmp_path, limit_gb=1e-6))
    (local.root / "dataset.json").write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(DatasetError, match=rf"^{web.url}/my data/dataset.json: not a dataset manifest"):
        Dataset.open(f"{web.url}/my data", settings(tmp_path))


def test_a_file_url_is_the_folder(local: Dataset) -> None:
    assert Dataset.open(local.root.as_uri()).root == local.root


def test_credentials_are_refused_and_not_repeated(tmp_path: Path) -> None:
    for url in ("https://me:hunter2@host/ds", "https://host/ds?sig=hunter2", "s3://hunter2@bucket/ds"):
        with pytest.raises(DatasetError) as refused:
            checked_url(url)
        assert "hunter2" not in str(refused.value)
        with pytest.raises(ConfigError, match="no user name") as wrong:
            config(TRIPLET, f"data.path={json.dumps(url)}", run=tmp_path, data=tmp_path)
        assert "hunter2" not in str(wrong.value)
    assert without_secrets("at 'http://a:b@h/x?sig=1': why?") == "at 'http://h/x': why?"


def test_an_unknown_protocol_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nosuch://x: cannot be opened"):
        Dataset.open("nosuch://x", settings(tmp_path))
