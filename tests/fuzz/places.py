"""What may stand in the place of a file: nothing, a folder, a pipe, a device, a link that leads nowhere, no permission.

``NOT_READABLE`` leaves nothing to read, so a reader that needs the file must refuse it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

Place = Callable[[Path], None]
FORBIDDEN = "forbidden"
"""The one that needs a reader without the rights of root."""


def absent(file: Path) -> None:
    """No such file."""
    file.unlink()


def folder(file: Path) -> None:
    """A folder of this name."""
    file.unlink()
    file.mkdir()


def pipe(file: Path) -> None:
    """A pipe to which nobody writes."""
    file.unlink()
    os.mkfifo(file)


def device(file: Path) -> None:
    """A link to a device that never ends."""
    file.unlink()
    file.symlink_to("/dev/zero")


def unix_socket(file: Path) -> None:
    """A socket."""
    here = Path.cwd()
    file.unlink()
    os.chdir(file.parent)  # The name of a socket may have 107 letters.
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(file.name)
    finally:
        os.chdir(here)


def dangling_link(file: Path) -> None:
    """A link to nothing."""
    file.unlink()
    file.symlink_to("nowhere")


def looped_link(file: Path) -> None:
    """A link to itself."""
    file.unlink()
    file.symlink_to(file.name)


def broken_disk(file: Path) -> None:
    """A file that opens, and whose first byte cannot be read."""
    file.unlink()
    file.symlink_to("/proc/self/mem")


def forbidden(file: Path) -> None:
    """A file that nobody may read."""
    file.chmod(0)


NOT_READABLE: dict[str, Place] = {
    one.__name__: one
    for one in (absent, folder, pipe, device, unix_socket, dangling_link, looped_link, broken_disk, forbidden)
}


def long_tail(file: Path) -> None:
    """The file goes on with 4 GiB of nothing, more than a reader may take of memory and none of the disk."""
    with file.open("rb+") as stream:
        stream.truncate(file.stat().st_size + (1 << 32))


PLACES: dict[str, Place] = {**NOT_READABLE, long_tail.__name__: long_tail}
