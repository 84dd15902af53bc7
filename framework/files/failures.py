"""What the readers share: the sentence that a failure becomes, which files are opened at all, and how much they hold.

Libraries report a damaged file by errors of many kinds (pyarrow, zlib, h5py, ``RecursionError``, ``KeyError``,
``struct.error`` ...), which are no promise of theirs. So a block that does nothing but read a file takes them all.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from framework.errors import DatasetError, WellstreamError

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
        raise error(f"{file}: no such file; expected {what}{'' if then == AGAIN else f'; {then}'}") from None
    except MemoryError:
        raise error(
            f"{file}: reading it as {what} takes more memory than there is; if it is not that large, it is damaged: "
            f"{then}"
        ) from None
    except RecursionError:
        raise error(f"{file}: not readable as {what}: nested too deeply; {then}") from None
    except Exception as found:
        raise error(f"{file}: not readable as {what}: {reason(found)}; {then}") from found


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
        raise error(f"{file}: a pipe, socket or device, which is not read; expected {what} in a regular file")
    return found.st_size


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
