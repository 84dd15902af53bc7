"""What names a file of a dataset by its content: BLAKE3, 256 bits, as ``b3sum`` prints it.

Every byte of a dataset passes through it once when it is made and once when it is fetched. It goes at three times the
rate of SHA-256 on processors with instructions for that, at ten times on those without.
"""

from __future__ import annotations

from io import BufferedIOBase
from pathlib import Path

from blake3 import blake3

_BUFFER = 1 << 18


def content_checksum(stream: BufferedIOBase) -> str:
    """Return the checksum of what is left of an open file, as 64 hex digits."""
    digest = blake3()
    buffer = memoryview(bytearray(_BUFFER))
    while size := stream.readinto(buffer):
        digest.update(buffer[:size])
    return digest.hexdigest()


def file_checksum(file: Path) -> str:
    """Return the checksum of a file, as 64 hex digits."""
    with file.open("rb") as stream:
        return content_checksum(stream)
