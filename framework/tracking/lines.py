"""JSON lines that survive a kill, and the hash chain that shows an edited, missing, repeated or moved line of an audit.

Lines are appended whole, and a torn last line is dropped by reader and writer alike. The head after a line of the chain
is SHA-256 over the head before it and the text of the line, so a head names every byte up to its line. Each line ends
with the first 16 digits of its own head, which shows where an edit begins. Each checkpoint holds the whole head of
every rank, which an edit of the audit alone cannot reach.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from framework.durable import naming, open_in_place
from framework.errors import RunError
from framework.files.failures import check_regular, reading, reason

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


_LINKED = re.compile(rb'(.*),"link":"([0-9a-f]{16})"\}')
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_RANKS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands in an audit file.

    Attributes:
        lines: how many lines it has.
        digest: 64 hex digits that name them all.
    """

    lines: int
    digest: str


class Chain:
    """The chain of one rank's file, from its first line on.

    Args:
        rank: whose file; the files of two ranks cannot be exchanged.
    """

    def __init__(self, rank: int) -> None:
        self._lines = 0
        self._digest = hashlib.sha256(f"wellstream audit of rank {rank}".encode()).digest()

    @property
    def head(self) -> Head:
        """The head after the last line."""
        return Head(lines=self._lines, digest=self._digest.hex())

    def linked(self, text: bytes) -> bytes:
        """Return a JSON object as the next line, its link added, without a line end."""
        body = text[:-1]
        self._extend(body)
        return b'%b,"link":"%b"}' % (body, self._digest.hex()[:16].encode())

    def add(self, line: bytes) -> bool | None:
        """Go on over a line that stands in a file, without its line end.

        Returns:
            Whether its link is right; None where it has none, as lines of runs had before there were chains.
        """
        found = _LINKED.fullmatch(line)
        self._extend(found[1] if found else line)
        return found[2] == self._digest.hex()[:16].encode() if found else None

    def _extend(self, body: bytes) -> None:
        self._digest = hashlib.sha256(self._digest + body).digest()
        self._lines += 1


def heads_to_plain(heads: Mapping[int, Head]) -> dict[str, dict[str, Any]]:
    """Return heads as JSON: rank -> lines and digest."""
    return {str(rank): {"lines": heads[rank].lines, "digest": heads[rank].digest} for rank in sorted(heads)}


def heads_of_state(state: Mapping[str, Any], where: object) -> dict[int, Head] | None:
    """Return the heads in a checkpoint's ``state.json``; None where it was written before there were chains.

    Args:
        state: its content.
        where: the checkpoint, for the message.

    Raises:
        RunError: what stands there is no list of heads.
    """
    plain = state.get("audit")
    if plain is None:
        return None
    heads = {}
    try:
        for key, value in plain.items():
            rank, lines, digest = int(key), value["lines"], value["digest"]
            if not (0 <= rank < _MOST_RANKS and type(lines) is int and lines > 0 and _DIGEST.fullmatch(digest)):
                raise ValueError(f"rank {key}: {value}")
            heads[rank] = Head(lines=lines, digest=digest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{where}: the heads of the audit in its state.json cannot be read: {reason(error)}") from None
    return heads
