"""Whose folder the cache is: one of our own, marked as a cache, closed to others unless it is shared on purpose.

A folder becomes ours when we made it or found it empty and it belongs to this user; it then holds ``CACHEDIR.TAG``,
which backup programs know too. In any other folder (a home, a scratch folder with other things, one of another user)
the cache lies in a folder below it. What is not ours is never counted, changed or removed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from framework.durable import is_temporary, write_text
from framework.errors import DatasetError

FILES, LOCK, TAG = "files", ".lock", "CACHEDIR.TAG"
_OURS = "# A cache of Wellstream; it may be removed while nothing uses it."
_SHARED = "# Shared with the group of this folder (data.cache.shared)."
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_BEFORE_TAGS = {FILES, LOCK, "manifests"}
PRIVATE_FOLDER, SHARED_FOLDER = 0o700, 0o2770
_ANOTHER = "choose another folder with data.cache.folder or WELLSTREAM_CACHE"


def cache_root(place: Path, *, shared: bool) -> Path:
    """Return the folder of the cache for the configured ``place``: that folder, or one below it. Makes nothing."""
    if not place.exists() or not place.is_dir() or _tag(place, shared=shared) is not None:
        return place
    # Another process may be making it right now: the tag is written before anything else.
    held = {name for name in os.listdir(place) if not is_temporary(name, TAG)}
    is_old = held <= _BEFORE_TAGS and {FILES, LOCK} <= held
    if place.stat().st_uid == os.geteuid() and (not held or is_old):
        return place
    return place / ("wellstream-cache" if shared else f"wellstream-cache-{os.geteuid()}")


def claim(place: Path, *, shared: bool) -> Path:
    """Return the folder of the cache, made and marked, with the folders inside it.

    Args:
        place: as configured.
        shared: whether the group of the folder may read and write; else nobody but this user.

    Raises:
        DatasetError: it is another user's, a link, or shared otherwise than asked for.
        OSError: it cannot be made.
    """
    root = cache_root(place, shared=shared)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A link that the user configured is followed; one that lies where our own folder should be is not.
    facts = root.stat() if root == place else root.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise DatasetError(f"{root}: expected a folder of this user, found something else; {_ANOTHER}")
    tag = _tag(root, shared=shared)
    if not shared and facts.st_uid != os.geteuid():
        raise DatasetError(f"{root}: belongs to user {facts.st_uid}, so what is in it cannot be trusted; {_ANOTHER}")
    if tag is not None and (_SHARED in tag) != shared:
        state, key = ("not shared", "true") if shared else ("shared with a group", "false")
        raise DatasetError(
            f"{root}: this cache is {state}, and data.cache.shared is {key}; {_ANOTHER}, or say data.cache.shared: "
            f"{'false' if shared else 'true'}"
        )
    if facts.st_uid == os.geteuid():
        root.chmod(SHARED_FOLDER if shared else PRIVATE_FOLDER)
        if tag is None or not (root / TAG).exists():
            lines = (_SIGNATURE, _OURS, *((_SHARED,) if shared else ()))
            write_text(root / TAG, "\n".join(lines) + "\n")
    elif facts.st_mode & stat.S_IWOTH:
        raise DatasetError(f"{root}: every user of this machine may write there; {_ANOTHER}")
    folder(root / FILES, SHARED_FOLDER if shared else PRIVATE_FOLDER, shared=shared)
    return root


def folder(path: Path, mode: int, *, shared: bool) -> Path:
    """Make a folder inside the cache, or check the one that is there.

    Raises:
        DatasetError: something else is there, or another user's folder in a cache that is not shared.
    """
    try:
        path.mkdir()
    except FileExistsError:
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or (not shared and facts.st_uid != os.geteuid()):
            raise DatasetError(f"{path}: expected a folder of this user, found something else; {_ANOTHER}") from None
        if facts.st_uid != os.geteuid():
            return path
    path.chmod(mode)
    return path


def own_folder(root: Path, *, shared: bool) -> Path:
    """Return the folder of this user inside the cache, which nobody else may write: what was checked, manifests."""
    return folder(root / f"of-{os.geteuid()}", 0o2750 if shared else PRIVATE_FOLDER, shared=False)


def _tag(root: Path, *, shared: bool) -> str | None:
    """The text of our tag; None where there is none, or where another user wrote it and nothing is shared."""
    file = root / TAG
    try:
        facts = file.lstat()
        if not stat.S_ISREG(facts.st_mode) or (not shared and root.stat().st_uid != os.geteuid()):
            return None
        with file.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(4096)
    except OSError:
        return None
    return text if _OURS in text else None
