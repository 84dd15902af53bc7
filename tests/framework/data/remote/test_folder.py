"""Whose folder the cache is, and what it leaves alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from framework.data.remote.cache import CacheConfig, FileCache, held_in
from framework.data.remote.folder import TAG
from framework.errors import DatasetError


def settings(place: Path, **changes: object) -> CacheConfig:
    return CacheConfig.from_plain({"folder": str(place), **changes})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_ours_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache = FileCache(settings(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    assert cache.root == tmp_path / "a" / "b"
    assert (cache.root / TAG).read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert {mode(path) for path in (cache.root, cache.files, cache.manifests, cache.manifests.parent)} == {0o700}
    assert FileCache(settings(cache.root)).root == cache.root


def test_an_empty_folder_becomes_ours_and_a_looser_one_is_closed(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.mkdir(mode=0o755)
    assert FileCache(settings(place)).root == place
    place.chmod(0o777)
    FileCache(settings(place))
    assert mode(place) == 0o700


def test_a_cache_from_before_the_tag_goes_on(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / ".lock").touch()
    assert FileCache(settings(tmp_path)).root == tmp_path


@pytest.mark.parametrize("name", ["thesis.docx", "files", ".profile"])
def test_a_folder_with_other_things_keeps_them_and_gets_a_cache_below(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / name).mkdir()
    config = settings(tmp_path)
    assert held_in(config) == (0, 0)
    cache = FileCache(config)
    assert cache.root == tmp_path / f"wellstream-cache-{os.geteuid()}"
    assert (mode(tmp_path), mode(cache.root)) == (0o755, 0o700)
    assert sorted(os.listdir(tmp_path)) == sorted([name, cache.root.name])
    (cache.files / ("0" * 64)).write_bytes(b"abc")
    assert held_in(config) == (1, 3)


def test_a_link_where_our_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "other").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home" / f"wellstream-cache-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"expected a folder of this user.*data\.cache\.folder"):
        FileCache(settings(tmp_path / "home"))
    cache = FileCache(settings(tmp_path / "cache"))
    cache.files.rmdir()
    cache.files.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="files: expected a folder of this user"):
        FileCache(settings(tmp_path / "cache"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    assert FileCache(settings(tmp_path / "link")).root == tmp_path / "link", "a link that the user configured"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    FileCache(settings(place))
    os.chown(place, 1234, -1)
    assert FileCache(settings(place)).root == place / "wellstream-cache-0"
    os.chown(place / "wellstream-cache-0", 1234, -1)
    with pytest.raises(DatasetError, match="belongs to user 1234, so what is in it cannot be trusted"):
        FileCache(settings(place))


def test_sharing_is_on_purpose(tmp_path: Path) -> None:
    cache = FileCache(settings(tmp_path / "group", shared=True))
    assert (mode(cache.root), mode(cache.files), mode(cache.manifests)) == (0o2770, 0o2770, 0o700)
    with pytest.raises(DatasetError, match=r"is shared with a group, and data\.cache\.shared is false"):
        FileCache(settings(tmp_path / "group"))
    FileCache(settings(tmp_path / "mine"))
    with pytest.raises(DatasetError, match=r"is not shared, and data\.cache\.shared is true"):
        FileCache(settings(tmp_path / "mine", shared=True))
