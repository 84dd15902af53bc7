"""Text files as they come: packed or not, in one of several encodings, perhaps damaged, perhaps no text at all.

A file is read through once before it is parsed. That pass finds its encoding, a packed file that is cut off, bytes that
no text has, and lines that no table has, so that a parser meets none of them.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from framework.errors import InputError, WellstreamError
from framework.files.failures import HEAD_BYTES, check_regular, inside_zip, recognised

_BLOCK = 1 << 20
LONGEST_LINE = 1 << 26
"""64 MiB: the header of a table of a million cells has 20."""
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh91AY&SY", "bzip2"), (b"\xfd7zXZ\x00", "xz"))
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OF_WINDOWS = bytes(range(0x80, 0xA0))
_NOT_OF_WINDOWS = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))
"""The bytes 0x80 to 0x9f are letters in Windows-1252, but for these five, and control characters in Latin-1."""
_CALLED = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte-order mark",
    "utf-16": "UTF-16",
    "utf-32": "UTF-32",
    "utf-16-le": "UTF-16 without a byte-order mark",
    "utf-16-be": "UTF-16 without a byte-order mark",
    "cp1252": "Windows-1252 (Latin-1), as it is not UTF-8",
    "latin-1": "Latin-1, as it is not UTF-8",
}


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A text file that was read through once.

    Attributes:
        file: the path as it was given.
        what: what it should be, with its article: ``a plate map``.
        packed: ``gzip``, ``bzip2``, ``xz`` or empty.
        encoding: as Python calls it.
        n_bytes: unpacked.
        error: class of what is raised.
    """

    file: Path
    what: str
    packed: str
    encoding: str
    n_bytes: int
    error: type[WellstreamError]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth saying about how it is read."""
        usual = self.encoding in ("utf-8", "utf-8-sig")
        return () if usual else (f"{self.file}: read as {_CALLED[self.encoding]}",)

    @contextmanager
    def opened(self) -> Iterator[TextIO]:
        """Open it as text; line ends stay as they are."""
        with self.unpacked() as stream:
            yield io.TextIOWrapper(stream, encoding=self.encoding, newline="")

    @contextmanager
    def unpacked(self) -> Iterator[BinaryIO]:
        """Open it as bytes; what the file system or a packed file raises becomes a sentence."""
        with _explained(self.file, self.what, self.packed, self.error), _unpacked(self.file, self.packed) as stream:
            yield stream


def open_text(
    file: Path,
    *,
    what: str,
    error: type[WellstreamError] = InputError,
    most_bytes: int | None = None,
    longest_line: int = LONGEST_LINE,
) -> TextFile:
    """Read a text file through once, and say what it is.

    Args:
        file: plain, or packed with gzip, bzip2 or xz, whatever its name says.
        what: it should be, with its article.
        error: class of what is raised.
        most_bytes: it may hold unpacked.
        longest_line: in bytes.

    Raises:
        WellstreamError: of class ``error``: no such regular file, empty, damaged, no text (named as what it is), a line
            that is too long, or more than ``most_bytes``.
    """
    check_regular(file, error, what)
    with _explained(file, what, "", error), file.open("rb") as stream:
        start = stream.read(10)
        packed = next((name for mark, name in _PACKED if start.startswith(mark)), "")
        if start.startswith(b"PK"):
            named = inside_zip(file, stream)
            if named is not None:
                raise error(f"{file}: expected {what} as text, found {named}")
    if packed:
        check_tail(file, what, error)
    with _explained(file, what, packed, error), _unpacked(file, packed) as stream:
        head = stream.read(_BLOCK)
        found = recognised(head[:HEAD_BYTES])
        if found is not None:
            raise error(f"{file}: expected {what} as text, found {found}")
        if not head:
            raise error(f"{file}: the file is empty; expected {what}")
        scan = _Scan(file, what, error, most_bytes, longest_line, encoding=_encoding_of_head(head))
        block = head
        while block:
            scan.take(block)
            block = stream.read(_BLOCK)
        encoding = scan.end()
    return TextFile(file=file, what=what, packed=packed, encoding=encoding, n_bytes=scan.n_bytes, error=error)


def check_tail(file: Path, what: str, error: type[WellstreamError]) -> None:
    """Refuse a file that ends in a long stretch of zeros: unpackers and parsers of text look at each of them alone.

    Raises:
        WellstreamError: of class ``error``: its last MiB holds zeros alone, as where a copy was interrupted.
    """
    with _explained(file, what, "", error), file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _BLOCK))
        if size > _BLOCK and not stream.read().strip(b"\0"):
            raise error(f"{file}: the file ends with zero bytes, so it is damaged; copy or download {what} again")


@contextmanager
def _explained(file: Path, what: str, packed: str, error: type[WellstreamError]) -> Iterator[None]:
    try:
        yield
    except WellstreamError:
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as failed:
        reason = " ".join(str(failed).split()) or "it ends too early"
        raise error(
            f"{file}: the {packed or 'packed'} file is cut off or damaged ({reason}); copy or download {what} again"
        ) from None
    except UnicodeError as failed:
        raise error(f"{file}: not readable as text ({failed}); save {what} as UTF-8") from None
    except OSError as failed:
        if packed and failed.strerror is None:  # bz2 tells of damage so
            raise error(f"{file}: the {packed} file is damaged ({failed}); copy or download {what} again") from None
        raise error(f"{file}: cannot be read ({failed.strerror or failed})") from None


@contextmanager
def _unpacked(file: Path, packed: str) -> Iterator[BinaryIO]:
    with file.open("rb") as raw:
        if packed == "gzip":
            with gzip.open(raw, "rb") as stream:
                yield cast(BinaryIO, stream)
        elif packed == "bzip2":
            with bz2.open(raw, "rb") as stream:
                yield cast(BinaryIO, stream)
        elif packed == "xz":
            with lzma.open(raw, "rb") as stream:
                yield cast(BinaryIO, stream)
        else:
            yield raw


def _encoding_of_head(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    # Text in UTF-16 has a zero byte in nearly every second place.
    sample = head[: 1 << 12]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 4 and max(even, odd) > 0.4 * (len(sample) // 2) and min(even, odd) < 0.05 * len(sample):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


class _Scan:
    """The pass over all bytes of a text."""

    def __init__(
        self,
        file: Path,
        what: str,
        error: type[WellstreamError],
        most_bytes: int | None,
        longest_line: int,
        *,
        encoding: str,
    ) -> None:
        self.file, self.what, self.error = file, what, error
        self.most_bytes, self.longest_line = most_bytes, longest_line
        self.encoding = encoding
        self.wide = encoding.startswith(("utf-16", "utf-32"))
        self.n_bytes = 0
        self.lines = 0
        self._since_line_end = 0
        self._of_windows = self._not_of_windows = False
        self._decoder = codecs.getincrementaldecoder("utf-8")() if not self.wide else None

    def take(self, block: bytes) -> None:
        """Look at the next bytes."""
        if not self.wide and b"\x00" in block:
            line = self.lines + block[: block.index(b"\x00")].count(b"\n") + 1
            raise self.error(
                f"{self.file}: line {line} holds a NUL byte, which no text has; expected {self.what} as text; copy or "
                "export it again"
            )
        self.n_bytes += len(block)
        if self.most_bytes is not None and self.n_bytes > self.most_bytes:
            raise self.error(
                f"{self.file}: holds more than {self.most_bytes / 1e9:.1f} GB of text; expected {self.what}; keep the "
                "rows and columns that are needed"
            )
        self._check_line(block)
        if not self.wide:
            self._check_utf8(block)

    def end(self) -> str:
        """Return the encoding."""
        if self._decoder is not None:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                self._decoder = None
        if self.wide or self._decoder is not None:
            return self.encoding
        return "cp1252" if self._of_windows and not self._not_of_windows else "latin-1"

    def _check_line(self, block: bytes) -> None:
        # Carriage returns alone ended lines on old computers.
        first = min((place for place in (block.find(b"\n"), block.find(b"\r")) if place >= 0), default=-1)
        length = self._since_line_end + (len(block) if first < 0 else first)
        if length > self.longest_line:
            raise self.error(
                f"{self.file}: line {self.lines + 1} is longer than {self.longest_line >> 20} MB; expected {self.what} "
                "with one row per line"
            )
        self.lines += block.count(b"\n")
        self._since_line_end = length if first < 0 else len(block) - 1 - max(block.rfind(b"\n"), block.rfind(b"\r"))

    def _check_utf8(self, block: bytes) -> None:
        if self._decoder is not None:
            try:
                self._decoder.decode(block)
            except UnicodeDecodeError:
                self._decoder = None
        if self._decoder is None:
            self._of_windows |= len(block.translate(None, _OF_WINDOWS)) < len(block)
            self._not_of_windows |= len(block.translate(None, _NOT_OF_WINDOWS)) < len(block)
