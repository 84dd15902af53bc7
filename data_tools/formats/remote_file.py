"""Files behind a URL, read whole through fsspec: public buckets without credentials."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import fsspec

from framework.errors import InputError, without_secrets

SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "http", "https", "memory")
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_PAUSES_S = (0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class RemoteFacts:
    """What a listing says of a file.

    Attributes:
        size: in bytes; -1 where it is not told.
        stamp: what changes with its content, as an ETag; empty where none is told.
    """

    size: int
    stamp: str


def is_url(path: str) -> bool:
    """Whether a text has the form of a URL."""
    return _URL.match(path) is not None


def check_url(url: str) -> None:
    """Refuse a URL of a kind that is not read.

    Raises:
        InputError: its scheme is not one of ``SCHEMES``.
    """
    found = _URL.match(url)
    if found is None or found[1].lower() not in SCHEMES:
        raise InputError(f"{without_secrets(url)}: expected a URL that begins with one of {', '.join(SCHEMES)}://")


def fetch(url: str, most: int, *, anonymous: bool = True) -> bytes:
    """Return the bytes of a file; what fails for the moment is tried again.

    Args:
        url: URL of it.
        most: bytes it may have.
        anonymous: whether to ask without credentials.

    Raises:
        FileNotFoundError: there is none.
        InputError: a scheme that is not read, no access, a file that is too large, or no answer after three tries.
    """
    files, path = _opened(url, anonymous)
    for pause in (*_PAUSES_S, None):
        try:
            with files.open(path, "rb") as stream:
                data: bytes = stream.read(most + 1)
            break
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise InputError(f"no access ({error}); name a public bucket, or set 'anonymous: false'") from None
        except Exception as error:  # each protocol raises kinds of its own
            if pause is None:
                raise InputError(
                    f"cannot be fetched ({type(error).__name__}: {' '.join(str(error).split())})"
                ) from None
            time.sleep(pause)
    if len(data) > most:
        raise InputError(f"holds more than {most} bytes")
    return data


def listed(folder: str, *, anonymous: bool = True) -> dict[str, RemoteFacts] | None:
    """Return the files of a folder by name; empty where it does not exist, None where the server lists nothing."""
    if folder.lower().startswith(("http://", "https://")):
        return None
    files, path = _opened(folder, anonymous)
    try:
        entries: list[dict[str, Any]] = files.ls(path, detail=True)
    except FileNotFoundError:
        return {}
    except Exception:  # a server may give files to everybody and lists to nobody
        return None
    return {
        str(entry["name"]).rstrip("/").rpartition("/")[2]: RemoteFacts(
            size=int(entry.get("size") or 0),
            stamp=str(entry.get("ETag") or entry.get("etag") or entry.get("created") or ""),
        )
        for entry in entries
        if entry.get("type") == "file"
    }


@cache
def _opened(url: str, anonymous: bool) -> tuple[Any, str]:
    check_url(url)
    options: dict[str, Any] = {}
    if anonymous and url.lower().startswith("s3://"):
        options = {"anon": True}
    elif anonymous and url.lower().startswith(("gs://", "gcs://")):
        options = {"token": "anon"}
    with _explained(url):
        files, path = fsspec.core.url_to_fs(url, **options)
    return files, str(path)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        text = f"{without_secrets(url)}: {error}; install what this kind of URL needs: pip install 'wellstream[remote]'"
        raise InputError(text) from None
    except Exception as error:
        raise InputError(f"{without_secrets(url)}: cannot be opened ({error}); correct it") from None
