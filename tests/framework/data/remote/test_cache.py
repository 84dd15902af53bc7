from __future__ import annotations

import mmap
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures.cached import NAMES, cache, fetch, kept, part_of, record
from fixtures.tiny_run import environment
from fixtures.web import Nginx, Proxy, needs_nginx

from framework.data.format.schema import FileRecord
from framework.data.remote.cache import FileCache
from framework.data.remote.download import RemoteFolder
from framework.errors import DatasetError

pytestmark = needs_nginx


def test_a_file_is_fetched_once(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    for _ in range(3):
        assert fetch(files, web.url, wanted) == (content / "0.tar").read_bytes()
    assert web.requests("0.tar") == [(200, "-")]
    assert kept(files) == {wanted.blake3}


def test_cut_connections_go_on_at_the_byte_they_had(content: Path, web: Nginx, tmp_path: Path) -> None:
    with Proxy(target=web.port, cuts=[100_000, 60_000, 50]).running() as proxy:
        assert fetch(cache(tmp_path), proxy.url, record(content, "1.tar")) == (content / "1.tar").read_bytes()
    asked = [text for _, text in web.requests("1.tar")]
    starts = [int(text.removeprefix("bytes=").rstrip("-")) for text in asked if text != "-"]
    assert asked[0] == "-"
    # The head of an answer takes a few hundred bytes of what the proxy lets through.
    assert 99_000 < starts[0] < 100_000
    assert 158_000 < starts[1] < 160_000
    assert starts[2] == starts[1]


def test_eviction_takes_the_least_recently_used_and_nothing_in_use(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, folder = cache(tmp_path, limit_gb=0.00095), RemoteFolder(web.url)
    records = [record(content, name) for name in NAMES]
    held = files.open(folder, records[0])
    for number in (1, 2):
        fetch(files, web.url, records[number])
        time.sleep(0.02)
    fetch(files, web.url, records[1])
    fetch(files, web.url, records[3])
    assert kept(files) == {records[0].blake3, records[1].blake3, records[3].blake3}
    held.close()
    fetch(files, web.url, records[2])
    assert kept(files) == {records[1].blake3, records[3].blake3, records[2].blake3}


def test_nothing_is_fetched_ahead_above_the_limit(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, folder = cache(tmp_path, limit_gb=0.0007), RemoteFolder(web.url)
    records = [record(content, name) for name in NAMES]
    with files.open(folder, records[0]), files.open(folder, records[1]):
        assert not files.fetch(folder, records[2])
        assert kept(files) == {records[0].blake3, records[1].blake3}
        assert not web.requests("2.tar")
        assert files.open(folder, records[2]).read() == (content / "2.tar").read_bytes(), "needed at once"
    assert files.fetch(folder, records[3])
    assert len(kept(files)) == 2


def test_a_map_keeps_its_file(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, folder = cache(tmp_path, limit_gb=0.0004), RemoteFolder(web.url)
    first, second, third = (record(content, name) for name in NAMES[:3])
    with files.open(folder, first) as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    fetch(files, web.url, second)
    assert first.blake3 in kept(files)
    mapped.close()
    fetch(files, web.url, third)
    assert kept(files) == {third.blake3}


FETCH = """
import sys
from framework.data.remote.cache import CacheConfig, FileCache
from framework.data.remote.download import RemoteFolder
from framework.data.format.schema import FileRecord
cache, folder = FileCache(CacheConfig(folder=sys.argv[1])), RemoteFolder(sys.argv[2])
for item in sys.argv[3:]:
    name, size, sha = item.split(":")
    cache.open(folder, FileRecord(name=name, bytes=int(size), blake3=sha)).close()
"""


def start_fetch(files: FileCache, url: str, records: list[FileRecord]) -> subprocess.Popen[bytes]:
    items = [f"{item.name}:{item.bytes}:{item.blake3}" for item in records]
    return subprocess.Popen([sys.executable, "-c", FETCH, str(files.root), url, *items], env=environment())


def test_two_processes_fetch_each_file_once(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, records = cache(tmp_path), [record(content, name) for name in NAMES]
    with Proxy(target=web.port, delay_s=0.05).running() as proxy:
        both = [start_fetch(files, proxy.url, records) for _ in range(2)]
        assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert [len(web.requests(name)) for name in NAMES] == [1, 1, 1, 1]


def killed_download(files: FileCache, web: Nginx, wanted: FileRecord) -> int:
    """SIGKILL a process in the middle of a download; return the bytes it left."""
    process = start_fetch(files, web.url + "/slow", [wanted])
    part = files.files / part_of(wanted)
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return part.stat().st_size


def test_a_killed_download_is_continued_by_the_next(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    left = killed_download(files, web, wanted)
    assert 0 < left < wanted.bytes
    assert fetch(files, web.url, wanted) == (content / "0.tar").read_bytes()
    assert web.requests("0.tar")[-1] == (206, f"bytes={left}-")
    assert kept(files) == {wanted.blake3}


def test_what_a_killed_download_left_gives_way_first(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, (killed, second, third) = cache(tmp_path, limit_gb=0.0007), (record(content, name) for name in NAMES[:3])
    fetch(files, web.url, second)
    killed_download(files, web, killed)
    fetch(files, web.url, third)
    assert kept(files) == {second.blake3, third.blake3}


def test_a_damaged_beginning_costs_one_more_download(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    (files.files / part_of(wanted)).write_bytes(bytes(5_000))
    assert fetch(files, web.url, wanted) == (content / "0.tar").read_bytes()
    assert web.requests("0.tar") == [(206, "bytes=5000-"), (200, "-")]
    (files.files / wanted.blake3).rename(files.files / part_of(wanted))
    assert fetch(files, web.url, wanted) == (content / "0.tar").read_bytes()
    assert len(web.requests("0.tar")) == 2, "a complete beginning needs no request"


def test_what_came_before_a_failure_stays(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path, total_s=1.0), record(content, "0.tar")
    with pytest.raises(DatasetError, match="the limit for one file is 1 s"):
        fetch(files, web.url + "/slow", wanted)
    left = (files.files / part_of(wanted)).stat().st_size
    assert left
    assert fetch(files, web.url, wanted) == (content / "0.tar").read_bytes()
    assert web.requests("0.tar")[-1] == (206, f"bytes={left}-")


def test_threads_of_a_process_fetch_a_file_once(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    with Proxy(target=web.port, delay_s=0.1).running() as proxy, ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: fetch(files, proxy.url, wanted), range(8)))
    assert got == [(content / "0.tar").read_bytes()] * 8
    assert len(web.requests("0.tar")) == 1


def test_who_waits_for_a_download_does_not_wait_for_its_reader(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    with Proxy(target=web.port, delay_s=0.1).running() as proxy, ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(files.open, RemoteFolder(proxy.url), wanted) for _ in range(8)]
        # None is closed before all are open.
        held = [future.result(timeout=20) for future in waiting]
    assert {file.read() for file in held} == {(content / "0.tar").read_bytes()}
    for file in held:
        file.close()


def test_a_server_without_ranges_sends_all_again(content: Path, web: Nginx, tmp_path: Path) -> None:
    with Proxy(target=web.port, cuts=[100_000]).running() as proxy:
        got = fetch(cache(tmp_path), proxy.url + "/whole", record(content, "1.tar"))
    assert got == (content / "1.tar").read_bytes()
    requests = web.requests("1.tar")
    assert [status for status, _ in requests] == [200, 200]
    assert requests[1][1].startswith("bytes=")


@pytest.mark.parametrize(("change", "word"), [(-1000, "shorter"), (1000, "longer")])
def test_another_size_is_a_sentence(content: Path, web: Nginx, tmp_path: Path, change: int, word: str) -> None:
    files, wanted = cache(tmp_path), record(content, "2.tar")
    (content / "2.tar").write_bytes(bytes(wanted.bytes + change))
    with pytest.raises(DatasetError, match=rf"/2.tar: {word} there than recorded.*copy the dataset there again"):
        fetch(files, web.url, wanted)


def test_a_wrong_checksum_is_tried_twice_and_refused(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "2.tar")
    (content / "2.tar").write_bytes(bytes(300_000))
    with pytest.raises(DatasetError, match=r"127.0.0.1:\d+/2.tar: was fetched twice.*wellstream verify http:.*copy"):
        fetch(files, web.url, wanted)
    assert len(web.requests("2.tar")) == 2
    assert not kept(files)


def test_a_file_of_another_size_is_fetched_again(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "3.tar")
    fetch(files, web.url, wanted)
    (files.files / wanted.blake3).write_bytes(b"short")
    assert fetch(files, web.url, wanted) == (content / "3.tar").read_bytes()


def test_a_full_disk_is_a_sentence(content: Path, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, (first, second) = cache(tmp_path), (record(content, name) for name in NAMES[:2])
    fetch(files, web.url, first)
    free = [100_000]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    with files.open(RemoteFolder(web.url), first), pytest.raises(DatasetError, match=r"disk is full.*data.cache.fold"):
        fetch(files, web.url, second)
    assert kept(files) == {first.blake3}
    assert fetch(files, web.url, second) == (content / "1.tar").read_bytes(), "unused files make room before that"
    assert kept(files) == {second.blake3}


def test_a_disk_that_fills_up_meanwhile_is_a_sentence(content: Path, web: Nginx, tmp_path: Path) -> None:
    files, wanted = cache(tmp_path), record(content, "0.tar")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DatasetError, match=r"cannot be used \(File too large"):
            fetch(files, web.url, wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DatasetError, match=r"cache folder cannot be used.*WELLSTREAM_CACHE"):
        cache(tmp_path)


def test_a_limit_below_one_file_is_refused(content: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"'0.tar' alone has 0.0003 GB.*raise the limit"):
        cache(tmp_path, limit_gb=0.0001).check(record(content, "0.tar"), "http://somewhere")


@pytest.mark.parametrize(
    ("path", "sentence"), [("/forbidden", r"access denied \(403\)"), ("/nothing", "not copied there completely")]
)
def test_refusals_are_sentences(content: Path, web: Nginx, tmp_path: Path, path: str, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        fetch(cache(tmp_path), web.url + path, record(content, "0.tar"))


def test_patience_ends(content: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no byte arrived in .* retries .* machine can reach the host"):
        fetch(cache(tmp_path, stall_s=0.5), "http://127.0.0.1:9", record(content, "0.tar"))
