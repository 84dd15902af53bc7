"""The git commit that a folder is at, read from its files: no program of the repository is run."""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LONGEST = 1 << 22


def commit_of(folder: Path) -> str | None:
    """Return the commit that is checked out around ``folder``; None outside of repositories, and before the first."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if (place / ".git").exists():
            return _head(_git_folder(place / ".git"))
    return None


def _git_folder(place: Path) -> Path:
    """Return where HEAD lies: ``.git``, or the folder that it names, as in worktrees."""
    named = _text(place) if place.is_file() else None
    return place if named is None else place.parent / named.removeprefix("gitdir:").strip()


def _head(git: Path) -> str | None:
    head = _text(git / "HEAD") or ""
    if not head.startswith("ref:"):
        return _commit(head)
    name = head.removeprefix("ref:").strip()
    if ".." in Path(name).parts or Path(name).is_absolute():
        return None
    common = git / (_text(git / "commondir") or ".")
    packed = (line.split(" ", 1) for line in (_text(common / "packed-refs") or "").splitlines())
    listed = next((line[0] for line in packed if line[1:] == [name]), "")
    return _commit(_text(git / name) or _text(common / name) or listed)


def _commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _text(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_LONGEST).strip()
    except OSError:
        return None
