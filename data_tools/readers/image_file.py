"""The bytes of an image file, and nothing that only looks like one: a pipe or a device would never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from framework.errors import InputError


class NoOrdinaryFile(InputError):
    """What a name leads to is no ordinary file, or too large for one image."""


def read_bytes(file: Path, most: int) -> bytes:
    """Return all bytes of a file.

    Args:
        file: what to read; links are followed.
        most: bytes it may have.

    Raises:
        FileNotFoundError: no such file, or a link that leads nowhere.
        NoOrdinaryFile: a folder, a pipe or a device, or more than ``most`` bytes.
        OSError: reading failed.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
    opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(opened)
        if not stat.S_ISREG(facts.st_mode):
            raise NoOrdinaryFile(f"expected an ordinary file, found a {kind_of(facts.st_mode)}")
        if facts.st_size > most:
            raise NoOrdinaryFile(f"{facts.st_size} bytes; an image of at most {most} bytes is read")
        with os.fdopen(opened, "rb", buffering=0, closefd=False) as stream:
            return stream.read()
    finally:
        os.close(opened)


def kind_of(mode: int) -> str:
    """Return what a mode of ``os.stat`` stands for, in a word."""
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFREG: "file"}
    return kinds.get(stat.S_IFMT(mode), "device")
