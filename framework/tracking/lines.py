"""JSON lines that survive a kill: appended whole, and a torn last line is dropped by reader and writer alike."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from framework.durable import naming, open_in_place
from framework.errors import RunError
from framework.files.failures import check_regular, reading

log = logging.getLogger(__name__)

LONGEST_LINE = 1 << 24
"""Bytes of a line of JSON; those of a run have a few hundred."""
_BLOCK = 1 << 20
_WHAT = "a file of JSON lines"


class Lines:
    """An append-only file of one JSON object per line."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not file.is_symlink():
            check_regular(file, RunError, _WHAT, f"remove {file}")
        self._file = file
        self._stream = os.fdopen(open_in_place(file, os.O_RDWR | os.O_APPEND), "ab+", buffering=0)
        with reading(file, RunError, _WHAT, f"remove {file}"):
            _drop_torn_tail(self._stream)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one object; it is in the file when the process dies after this call."""
        self.append_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")))

    def append_text(self, line: str) -> None:
        """Write one object that is text already, without a line end; as ``append`` otherwise."""
        rest = memoryview(f"{line}\n".encode())
        with naming(self._file):
            while rest:
                rest = rest[os.write(self._stream.fileno(), rest) :]

    def sync(self) -> None:
        """Make all lines survive a power cut."""
        with naming(self._file):
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Sync and close; nothing happens the second time."""
        if not self._stream.closed:
            try:
                self.sync()
            finally:
                self._stream.close()


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file; an unfinished last line is left out, other unreadable ones are named in the log.

    Raises:
        RunError: no regular file, or a line so long that nothing of ours wrote it.
    """
    check_regular(file, RunError, _WHAT, f"remove {file}")
    with reading(file, RunError, _WHAT, f"remove {file}"), file.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b""), start=1):
            if not line.endswith(b"\n"):
                if len(line) == LONGEST_LINE:
                    raise RunError(
                        f"{file}: line {number} is longer than {LONGEST_LINE >> 20} MB, so the file is damaged; "
                        f"remove it and what follows: sed -i '{number},$d' {shlex.quote(str(file))}"
                    )
                return
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                yield record
            else:
                log.warning("%s:%d: not a JSON object; the line is left out", file, number)


def raw_lines(file: Path, longest: int) -> Iterator[bytes]:
    """Yield the lines of a file without their ends; an unfinished last line is left out.

    Args:
        file: where.
        longest: bytes; a longer line comes in pieces of that size, so that no file can ask for much memory.
    """
    with reading(file, RunError, _WHAT, "copy it again"), file.open("rb") as stream:
        while line := stream.readline(longest):
            if not line.endswith(b"\n") and len(line) < longest:
                return
            yield line.removesuffix(b"\n")


def _drop_torn_tail(stream: FileIO) -> None:
    """Cut what follows the last line end: a process died while it wrote that line."""
    size = stream.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(stream.fileno(), end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        stream.truncate(end)
