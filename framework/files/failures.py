"""What readers share: the sentence that a failure becomes, what a file is, which are opened, and how much they hold.

Libraries report a damaged file by errors of many kinds (pyarrow, zlib, h5py, ``RecursionError``, ``KeyError``,
``struct.error`` ...), which are not a promise of theirs. So a block that does nothing but read a file takes them all. A
file of another kind than expected is named as what its first bytes say it is, with what to do about it. What only looks
like a file is not opened: a pipe or a device would never end.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from framework.errors import DatasetError, InputError, WellstreamError, did_you_mean

AGAIN = "copy or export it again"
_MOST_LETTERS = 200
_LONGEST_OF_SYSTEM = 60
"""Letters of what the system says of an error."""
_OF_PROGRAMS = (AttributeError, TypeError, IndexError)
_WORDS_OF_PROGRAMS = re.compile(
    r"NoneType|object at 0x|<class '|not subscriptable|unhashable|invalid literal for|unsupported operand"
)


@contextmanager
def reading(
    file: Path | str, error: type[WellstreamError] = DatasetError, what: str = "file", then: str = AGAIN
) -> Iterator[None]:
    """Turn whatever is raised inside into ``error`` with one sentence; errors of ours pass as they are.

    Args:
        file: as the sentence names it.
        error: class to raise.
        what: the file should be, with its article: ``a Parquet table``.
        then: what to do about it.
    """
    try:
        yield
    except WellstreamError:
        raise
    except FileNotFoundError:
        more = "" if then == AGAIN else f"; {then}"
        raise error(f"{file}: no such file{near_name(file)}; expected {what}{more}") from None
    except MemoryError:
        raise error(
            f"{file}: reading it as {what} takes more memory than there is; if it is not that large, it is damaged: "
            f"{then}"
        ) from None
    except RecursionError:
        raise error(f"{file}: not readable as {what}: nested too deeply; {then}") from None
    except Exception as found:
        raise error(f"{file}: not readable as {what}: {reason(found)}; {then}") from found


class Mistakes:
    """Mistakes that do not depend on each other, told together instead of one per run.

    Args:
        kind: kind of the errors that are kept; others pass at once.
    """

    def __init__(self, kind: type[WellstreamError]) -> None:
        self._kind = kind
        self._found: list[WellstreamError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the error of the block, and go on after it."""
        try:
            yield
        except self._kind as error:
            self._found.append(error)

    def say(self) -> None:
        """Raise what was kept: one as it is, several as lines of one error of the first one's class."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise type(self._found[0])("\n".join(dict.fromkeys(str(error) for error in self._found)))


def reason(found: BaseException) -> str:
    """Return what an error of a library says, on one line and of at most 200 letters.

    Where it speaks of the objects of a program, it says nothing to whoever made the file; ``--debug`` shows it.
    """
    if isinstance(found, OSError) and found.strerror and not isinstance(found, UnicodeError):
        # HDF5 puts the places of its own memory there, on several lines.
        return found.strerror if len(found.strerror) <= _LONGEST_OF_SYSTEM else os.strerror(found.errno or 0)
    if isinstance(found, ValidationError):
        return of_validation(found)
    text = " ".join(str(found).split())
    if isinstance(found, _OF_PROGRAMS) or _WORDS_OF_PROGRAMS.search(text):
        return "a part of it is missing, or of another kind than expected"
    if isinstance(found, KeyError):
        text = text.strip("'\"") if " " in text else f"no entry {text}"  # h5py explains itself in KeyErrors
    if isinstance(found, UnicodeDecodeError):
        text = f"not {found.encoding} text, byte {found.start} is {found.object[found.start]:#04x}"
    short = text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."
    return short or ("it ends too early" if isinstance(found, EOFError) else type(found).__name__)


def of_validation(found: ValidationError) -> str:
    """Return the first thing that pydantic has against a file: the key and what is wrong with it."""
    first = found.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    said = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def check_regular(
    file: Path | str, error: type[WellstreamError] = DatasetError, what: str = "file", then: str = AGAIN
) -> int:
    """Return the size in bytes of a regular file: reading a pipe or a device might never end.

    Raises:
        WellstreamError: of class ``error``: no such file, a folder, or a special file.
    """
    with reading(file, error, what, then):
        found = os.stat(file)
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{file}: a folder; expected {what}")
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{file}: a pipe, socket or device; expected {what} in a regular file")
    return found.st_size


def near_name(path: Path | str, endings: Container[str] | None = None) -> str:
    """Return ``"; did you mean 'x'?"`` for what lies beside a path that does not exist and is called nearly so.

    Names are compared without their endings, which make any two files of a kind alike; numbers are not names.

    Args:
        path: path that does not exist.
        endings: endings of the files that are meant, as ``.yaml``; None: any.
    """
    place = Path(path)
    try:
        there = sorted(name for name in place.parent.iterdir() if endings is None or name.suffix in endings)
    except OSError:
        return ""
    near = {name.stem: name.name for name in there if not name.stem.isdigit()}
    said = did_you_mean(place.stem, near)
    return next((f"; did you mean '{name}'?" for stem, name in near.items() if said.endswith(f"'{stem}'?")), "")


def first_bytes(file: Path | str, size: int) -> bytes:
    """Return the first bytes of a regular file, to choose its reader by; of what cannot be read none.

    It never fails, because the reader that is chosen says what is wrong.
    """
    try:
        check_regular(file)
        with Path(file).open("rb") as stream:
            return stream.read(size)
    except (OSError, DatasetError):
        return b""


def is_inside(file: Path | str, folder: Path | str) -> bool:
    """Return whether a file lies in a folder once links are followed; a link that leads in rounds lies where it is."""
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))


def memory_bytes() -> int:
    """Return how much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(
    file: Path | str, nbytes: int, error: type[WellstreamError] = DatasetError, what: str = "file", then: str = AGAIN
) -> None:
    """Refuse what a file declares to hold when this machine could not hold it: asking for it might end the process.

    Raises:
        WellstreamError: of class ``error``: it is more than the memory of this machine.
    """
    if nbytes > memory_bytes():
        raise error(
            f"{file}: declares to hold {nbytes / 1e9:.1f} GB as {what}, this machine has {memory_bytes() / 1e9:.1f} GB "
            f"of memory; if it is not that large, it is damaged: {then}"
        )


HEAD_BYTES = 1024
"""How many first bytes ``recognised`` looks at."""
_SHEET = "save the sheet as CSV (UTF-8) and name that file"
_OFFICE = f"an old Office file, as Excel writes .xls; {_SHEET}"
_UNPACK = "unpack it and name the file inside"
_WORDS: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet file; where such tables are not read, save it as CSV"),
    (b"ARROW1", "an Arrow file; save it as Parquet or CSV"),
    (b"FEA1", "a Feather file; save it as Parquet or CSV"),
    (b"II*", "a TIFF image"),
    (b"II+", "a TIFF image"),
    (b"BZh", f"packed twice; {_UNPACK}"),
    (b"Rar!", f"a RAR archive; {_UNPACK}"),
    (b"RDX", "a file of R objects; save the table with write.csv in R"),
    (b"MZ", "a program"),
)
"""Marks that a text could begin with too (PAR1 is a gene): they count where bytes follow that no text has."""
_FOUND: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as .h5ad and .h5 are; name it with its suffix where such files are read"),
    (b"SQLite format 3\x00", "an SQLite database; export the table as CSV"),
    (b"%PDF", "a PDF document; export the table as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (b"{\\rtf", "a document in RTF; save the table as CSV"),
    (b"MM\x00*", "a TIFF image"),
    (b"MM\x00+", "a TIFF image"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x93NUMPY", "a NumPy array; save the table as CSV"),
    (b"\x28\xb5\x2f\xfd", f"a Zstandard file; {_UNPACK}"),
    (b"\x1f\x8b", f"packed with gzip twice; {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"packed twice; {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive; {_UNPACK}"),
    (b"PK\x03\x04", f"a ZIP archive; {_UNPACK}"),
    (b"PK\x05\x06", f"an empty ZIP archive; {_UNPACK}"),
    (b"FCS2.0    ", "an FCS file of flow cytometry"),
    (b"FCS3.0    ", "an FCS file of flow cytometry"),
    (b"FCS3.1    ", "an FCS file of flow cytometry"),
    (b"FCS3.2    ", "an FCS file of flow cytometry"),
    (b"X\n\x00\x00\x00", "a file of R objects; save the table with write.csv in R"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; fetch the file with: git lfs pull"),
    (b"%%MatrixMarket", "a Matrix Market file; name the folder with its barcodes and features"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x95\x8a\x8c}\]\(c]")
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body|table)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(\?xml\b|!doctype\b|[A-Za-z][\w:.-]* [\w:.-]+=)", re.IGNORECASE)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_JSON = re.compile(rb'\s*(\{\s*("|\})|\[\s*([\[{"\]]|-?\d+\s*[,\]]))')


def recognised(head: bytes) -> str | None:
    """Return what a file is by its first bytes, as ``a Parquet file; ...`` with what to do; None for what may be text.

    Args:
        head: its first ``HEAD_BYTES`` bytes, unpacked where it is packed.
    """
    for mark, name in (*_FOUND, *(_WORDS if _NO_TEXT.search(head) else ())):
        if head.startswith(mark):
            return name
    if head[257:262] == b"ustar":
        return f"a TAR archive; {_UNPACK}"
    if _PICKLE.match(head):
        return "a pickle of Python, which is never read, as reading one runs its code; save the table as CSV"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _HTML.match(text):
        return "a web page (HTML), perhaps that of a login or an error; download the file itself"
    if _XML.match(text):
        return "an XML file; export the table as CSV"
    return "a JSON file; export the table as CSV" if _JSON.match(text) else None


def inside_zip(file: Path, stream: BinaryIO) -> str | None:
    """Return what a ZIP file is: Excel, OpenDocument, Word and NumPy files are ZIP archives too; None for others."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "a damaged ZIP archive or Excel workbook; copy or export it again" if file.suffix else None
    if any(name.startswith("xl/") for name in names):
        return f"an Excel workbook; {_SHEET}"
    if any(name.startswith("word/") for name in names):
        return "a Word document; save the table as CSV"
    if {"content.xml", "mimetype"} <= names:
        return f"an OpenDocument file; {_SHEET}"
    if names and all(name.endswith(".npy") for name in names):
        return "a file of NumPy arrays (.npz); save the table as CSV"
    return None


def found_instead(file: Path) -> str:
    """Return what a file is that should be of another kind: ``an Excel workbook; ...``, ``text`` or ``other bytes``."""
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        named = inside_zip(file, stream) if head.startswith(b"PK") else None
    if head.startswith(b"\x1f\x8b"):
        return f"a file packed with gzip; {_UNPACK}"
    named = named or recognised(head)
    if named is not None:
        return named
    if not head:
        return "nothing, as it is empty"
    return "other bytes" if _NO_TEXT.search(head) else "text; name it with the suffix .csv where text is read"


class NoOrdinaryFile(InputError):
    """What a name leads to is not an ordinary file, or too large for one image."""


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
