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
    opened = open_ordinary(file)
    try:
        size = os.fstat(opened).st_size
        if size > most:
            raise NoOrdinaryFile(f"{size} bytes; an image of at most {most} bytes is read")
        with os.fdopen(opened, "rb", buffering=0, closefd=False) as stream:
            return stream.read()
    finally:
        os.close(opened)


def open_ordinary(file: Path) -> int:
    """Return the descriptor of an ordinary file, opened for reading.

    Raises:
        FileNotFoundError: no such file, or a link that leads nowhere.
        NoOrdinaryFile: a folder, a pipe or a device.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
    opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(opened).st_mode
    if not stat.S_ISREG(mode):
        os.close(opened)
        raise NoOrdinaryFile(f"expected an ordinary file, found a {kind_of(mode)}")
    return opened


def kind_of(mode: int) -> str:
    """Return what a mode of ``os.stat`` stands for, in a word."""
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFREG: "file"}
    return kinds.get(stat.S_IFMT(mode), "device")
