from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import anndata
import fsspec
import numpy as np
import pytest
from blake3 import blake3
from fixtures.tiny_dataset import edit_manifest, make_dataset, stored_tiles
from fixtures.tiny_run import MARKERS, TRIPLET, command, config, same_bits, start, tiny_data, weights
from fixtures.web import Nginx, Proxy, needs_nginx, serve
from typer.testing import CliRunner

from framework.data.dataset import Dataset
from framework.data.format.schema import BAGS_NAME, INDEX_NAME, SCHEMA_VERSION
from framework.data.loading.loader import Loader
from framework.data.loading.prefetch import Prefetcher
from framework.data.plan import BagsConfig, PlanUniverse, build_plan
from framework.data.remote import files as remote_files
from framework.data.remote.cache import CacheConfig, held_in
from framework.data.remote.download import checked_url
from framework.data.store import TileStore
from framework.data.verify import verify_dataset
from framework.errors import ConfigError, DatasetError, without_secrets
from framework.run import embed, fit, predict
from launch.cli import app
from launch.doctor import checks


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
    assert remote.cells().equals(local.cells())
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
@pytest.mark.distributed
def test_ranks_of_a_node_share_the_cache(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(TRIPLET.format(run=tmp_path / "run", data=f'"{web.url}/my data"'))
    done = start(command(file, f"data.cache.folder={tmp_path / 'cache'}", ranks=2))
    assert done.returncode == 0, done.stderr
    fetched = [len(web.requests(record.name)) for record in (*local.manifest.files, *local.manifest.shards)]
    assert max(fetched) == 1
    assert sum(fetched) > 2


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
        if all((cached / remote.manifest.shards[shard].blake3).exists() for shard in wanted):
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
    (local.root / "dataset.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION}))
    with pytest.raises(DatasetError, match=rf"^{web.url}/my data/dataset.json: not a dataset manifest"):
        Dataset.open(f"{web.url}/my data", settings(tmp_path))


def test_a_protocol_without_streams_reads_as_the_local_one(local: Dataset, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(local.root), "/screens/tiny", recursive=True)
    remote = Dataset.open("memory://screens/tiny", settings(tmp_path))
    store = TileStore(remote)
    out = np.empty((len(store), *store.sample_shape), store.dtype)
    store.gather(np.arange(len(store)), out)
    assert np.array_equal(out, stored_tiles(local))
    shard = remote.manifest.shards[0]
    memory.pipe_file(f"/screens/tiny/{shard.name}", bytes(100))
    with pytest.raises(DatasetError, match=rf"memory://screens/tiny/{shard.name}: shorter there"):
        TileStore(Dataset.open("memory://screens/tiny", settings(tmp_path / "new"))).gather(np.arange(1), out[:1])


@needs_nginx
def test_a_run_is_embedded_and_predicts_from_a_url(
    local: Dataset, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "cache"))
    fit(config(MARKERS, "train.steps=4", run=tmp_path / "run", data=local.root))
    for data in (str(local.root), f"{web.url}/my data"):
        name = "far" if "://" in data else "near"
        embed(tmp_path / "run", data=data, out=tmp_path / f"{name}.h5ad")
        predict(tmp_path / "run", data=data, out=tmp_path / f"{name}-predicted.h5ad", part="all")
    for name in ("", "-predicted"):
        far, near = (anndata.read_h5ad(tmp_path / f"{place}{name}.h5ad") for place in ("far", "near"))
        assert np.array_equal(far.X, near.X, equal_nan=True)
    shards = {record.name for record in local.manifest.shards}
    assert {name for name in shards if len(web.requests(name)) == 1} == shards


@needs_nginx
def test_a_cache_smaller_than_the_dataset_is_enough(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    """Also with the prefetch at work, epochs over more shards than fit see the right pixels."""
    sizes = [record.bytes for record in (*local.manifest.files, *local.manifest.shards)]
    tables = sum(record.bytes for record in local.manifest.files)
    limit = tables + 6 * max(sizes)
    assert limit + 2 * max(sizes) < sum(sizes)
    remote = Dataset.open(f"{web.url}/my data", settings(tmp_path, limit_gb=limit / 1e9))
    plan = build_plan(BagsConfig(name="bags", bags=2, tiles=4), PlanUniverse.of(remote, np.arange(24)), 0)
    loader, tiles = Loader(TileStore(remote), plan, upcoming=Prefetcher(remote, plan.at)), stored_tiles(local)
    for batch in loader.batches(0, 3 * plan.steps_per_epoch):
        assert np.array_equal(batch.tiles.numpy(), tiles[batch.tile_ids.numpy()])
        # Counted as the cache does: its threads rename files meanwhile, and what they read now may not be refused.
        assert held_in(settings(tmp_path))[1] <= limit + 2 * max(sizes)
    assert max(len(web.requests(record.name)) for record in remote.manifest.shards) > 1


@needs_nginx
def test_verify_reads_what_lies_behind_the_url(
    local: Dataset, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "cache"))
    url = f"{web.url}/my data"
    remote = Dataset.open(url)
    remote.remote.fetch_shard(3)  # type: ignore[union-attr]
    copy = tmp_path / "cache" / "files" / remote.manifest.shards[3].blake3
    sound = copy.read_bytes()
    copy.write_bytes(bytes(len(sound)))
    sentences = "\n".join(verify_dataset(url).sentences)
    assert "every size and BLAKE3 as recorded" in sentences
    assert "0 of 12 shards here, as recorded; 1 damaged copies removed" in sentences
    names = [record.name for record in local.manifest.shards]
    (local.root / names[0]).unlink()
    flipped = bytearray((local.root / names[1]).read_bytes())
    flipped[700] ^= 1
    (local.root / names[1]).write_bytes(flipped)
    (local.root / names[2]).write_bytes(bytes(10))
    with pytest.raises(DatasetError) as refused:
        verify_dataset(url)
    lines = str(refused.value).splitlines()
    assert lines[0] == f"{url}/{names[0]}: missing (404)"
    assert lines[1] == f"{url}/{names[1]}: content differs from its recorded BLAKE3"
    assert lines[2].startswith(f"{url}/{names[2]}: shorter there than recorded")
    assert lines[3].startswith(f"3 of {len(names) + len(local.manifest.files)} files are damaged")
    assert f"copy these files to {url} again" in lines[3]


@needs_nginx
def test_verify_names_the_first_bad_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "cache"))
    local = make_dataset(tmp_path / "site" / "data", bags=2, tiles_per_bag=40, bags_per_shard=2)
    shard = local.root / local.manifest.shards[0].name
    content = bytearray(shard.read_bytes())
    blocks = [bytes(content[start : start + 5_000]) for start in range(0, len(content), 5_000)]
    sums = {local.manifest.shards[0].name: [zlib.crc32(block) for block in blocks]}
    (local.root / "checksums.json").write_text(json.dumps({"block_bytes": 5_000, "crc32": sums}))
    listed = (local.root / "checksums.json").read_bytes()
    record = {"name": "checksums.json", "bytes": len(listed), "blake3": blake3(listed).hexdigest()}
    files = [*json.loads((local.root / "dataset.json").read_text())["files"], record]
    edit_manifest(local.root, files=files)
    with serve(local.root.parent, tmp_path / "nginx") as web:
        assert verify_dataset(f"{web.url}/data").sentences
        content[12_345] ^= 1
        shard.write_bytes(content)
        with pytest.raises(DatasetError, match=r"00000.tar: bytes 10000 to 15000 differ from their recorded CRC-32"):
            verify_dataset(f"{web.url}/data")


@needs_nginx
def test_inspect_tells_of_the_cache(
    local: Dataset, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "cache"))
    result = CliRunner().invoke(app, ["inspect", f"{web.url}/my data"])
    assert result.exit_code == 0
    assert "0 of these shards here" in result.output
    assert held_in(CacheConfig()) == (2, sum((local.root / name).stat().st_size for name in (BAGS_NAME, INDEX_NAME)))
    told = [check.text for check in checks() if check.text.startswith("cache")]
    assert told[0].startswith(f"cache of remote datasets (WELLSTREAM_CACHE): {tmp_path / 'cache'}, 2 files, ")


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


@needs_nginx
def test_a_manifest_in_the_cache_is_not_believed(local: Dataset, web: Nginx, tmp_path: Path) -> None:
    url = f"{web.url}/my data"
    first = Dataset.open(url, settings(tmp_path))
    kept = first.root / "dataset.json"
    assert kept.read_bytes() == (local.root / "dataset.json").read_bytes()
    assert kept.is_relative_to(tmp_path / "cache" / f"of-{os.geteuid()}")
    kept.write_text(kept.read_text().replace(first.manifest.name, "another"))
    assert Dataset.open(url, settings(tmp_path)).manifest == first.manifest
    kept.unlink()
    (tmp_path / "mine").write_text("{}")
    kept.symlink_to(tmp_path / "mine")
    assert Dataset.open(url, settings(tmp_path)).manifest == first.manifest
    assert (tmp_path / "mine").read_text() == "{}"


@needs_nginx
def test_a_manifest_without_end_is_refused(
    local: Dataset, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "_LARGEST_MANIFEST", 1000)
    with pytest.raises(DatasetError, match=r"dataset\.json: longer there than"):
        Dataset.open(f"{web.url}/my data", settings(tmp_path))
    fsspec.filesystem("memory").put(str(local.root), "/screens/long", recursive=True)
    with pytest.raises(DatasetError, match=r"dataset\.json: longer there than"):
        Dataset.open("memory://screens/long", settings(tmp_path))


@needs_nginx
def test_verify_ends_with_1_when_it_removed_a_damaged_copy(
    local: Dataset, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WELLSTREAM_CACHE", str(tmp_path / "cache"))
    url = f"{web.url}/my data"
    remote = Dataset.open(url)
    remote.remote.fetch_shard(3)  # type: ignore[union-attr]
    assert CliRunner().invoke(app, ["verify", url]).exit_code == 0
    tables = {record.name: record.blake3 for record in local.manifest.files}
    for blake3_of in (remote.manifest.shards[3].blake3, tables[BAGS_NAME]):
        copy = tmp_path / "cache" / "files" / blake3_of
        copy.write_bytes(bytes(copy.stat().st_size))
    result = CliRunner().invoke(app, ["verify", url])
    assert result.exit_code == 1
    assert "2 damaged copies removed, they will be fetched again" in result.output
    assert CliRunner().invoke(app, ["verify", url]).exit_code == 0
