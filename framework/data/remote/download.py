"""Where a dataset lies when it is not on this machine: any fsspec URL, by byte ranges that survive cut connections.

One file at a time flows from here into the cache (``framework.data.remote.cache``), which alone decides what is kept.
HTTP is streamed, so a cut connection goes on at the byte it had; other protocols are read in blocks that shrink when
they fail.
"""

from __future__ import annotations

import importlib
import re
import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import fsspec
from fsspec.asyn import sync

from framework.errors import DatasetError, without_secrets

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_CHUNK = 1 << 20
_LARGEST_BLOCK, _SMALLEST_BLOCK = 16 << 20, 64 << 10
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_SILENCE_S = 30.0
"""A connection without a byte for so long is given up and made anew."""
_WORTH_ANOTHER_TRY = {408, 425, 429}
_HOPELESS = {
    "NoCredentialsError",
    "ParamValidationError",
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
    "NonHttpUrlRedirectClientError",
    "TooManyRedirects",
}
_SHORTER, _LONGER = 416, -1
"""HTTP's status for a range beyond the end, and ours for what has no status."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a download may take.

    Attributes:
        stall_s: seconds of retries without one new byte.
        total_s: seconds for one file.
    """

    stall_s: float = 120.0
    total_s: float = 3600.0


class Sink(Protocol):
    """What a download is written to: a file, or something that only looks at it."""

    def write(self, data: bytes, /) -> int:
        """Take bytes at the position."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go to a position, counted from the start."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...


class _Refused(Exception):
    """The server answered and will answer the same again."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class _OwnDisk(Exception):
    """Writing here failed, not reading there."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def is_url(path: str) -> bool:
    """Whether ``path`` has the form of a URL (``https://...``, ``s3://...``, ``file://...``) and not of a path."""
    return _URL.match(path) is not None


def checked_url(url: str) -> str:
    """Return ``url`` without a final slash.

    Raises:
        DatasetError: it carries credentials, a query or a fragment; the message repeats none of them.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise DatasetError(
            f"{without_secrets(url)}: a dataset URL is copied into run folders and logs, so it may hold no user name, "
            "password, query or fragment; give credentials by the environment (AWS_*), ~/.netrc for HTTP, or "
            "~/.config/fsspec"
        )
    return url.rstrip("/")


class RemoteFolder:
    """A folder behind a URL.

    Args:
        url: URL of the folder, without credentials.

    Raises:
        DatasetError: credentials in the URL, an unknown protocol, or a package for it that is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = checked_url(url)
        self._is_http = self.url.split("://")[0].lower() in {"http", "https"}
        # Proxies and ~/.netrc.
        options: dict[str, Any] = {"client_kwargs": {"trust_env": True}} if self._is_http else {}
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url, **options)
        except ImportError as error:
            raise DatasetError(
                f"{self.url}: reading it needs another package: {error}; s3:// comes with: "
                "pip install 'wellstream[remote]'"
            ) from None
        except ValueError as error:
            raise DatasetError(f"{self.url}: cannot be opened: {without_secrets(str(error))}") from None

    def download(
        self, name: str, stream: Sink, size: int | None, patience: Patience, start: int = 0, most: int | None = None
    ) -> None:
        """Write a file of the folder into ``stream``; cut connections are taken up where they broke.

        Args:
            name: relative to the folder.
            stream: seekable; what it held from ``start`` on is overwritten.
            size: bytes expected; None reads to the end.
            patience: when to give up.
            start: bytes that ``stream`` has already.
            most: bytes that are taken where ``size`` is None.

        Raises:
            FileNotFoundError: there is no such file.
            DatasetError: access denied, host not reachable, another size, or patience lost; names the URL.
            OSError: ``stream`` could not be written.
        """
        place = f"{self.url}/{name}"
        began = fresh = time.monotonic()
        pause, block = _FIRST_PAUSE_S, _LARGEST_BLOCK
        stream.seek(start)
        while True:
            had, fault = stream.tell(), ""
            try:
                done = self._some(name, stream, size, block, began + patience.total_s, most)
            except (_Refused, FileNotFoundError, PermissionError) as error:
                raise _answer(place, error) from None
            except _OwnDisk as error:
                raise error.cause from None
            except Exception as error:
                done, fault = False, f"{type(error).__name__}: {without_secrets(str(error))}"
                block = max(block // 4, _SMALLEST_BLOCK)
                if _is_hopeless(error):
                    raise DatasetError(f"{place}: cannot be read: {fault}") from None
            if done:
                return
            now = time.monotonic()
            if stream.tell() > had:
                fresh, pause = now, _FIRST_PAUSE_S
            if fault:
                _lose_patience(place, fault, stream.tell(), now - began, now - fresh, patience)
                time.sleep(min(pause, max(patience.stall_s - (now - fresh), 0.01)))
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _some(self, name: str, stream: Sink, size: int | None, block: int, deadline: float, most: int | None) -> bool:
        """Read on from the stream's position; whether the file is complete."""
        if time.monotonic() > deadline:
            raise TimeoutError("the time for one file is over")
        start = stream.tell()
        if size is not None and start >= size:
            return True
        if self._is_http:
            limit = size if size is not None else most
            sync(self._files.loop, self._stream_http, f"{self.url}/{quote(name)}", stream, limit, deadline)
            if size is not None and stream.tell() < size:
                raise ConnectionError(f"the connection ended at byte {stream.tell()} of {size}")
            return True
        if size is None:
            found = self._files.cat_file(f"{self._root}/{name}", start=0, end=None if most is None else most + 1)
            if most is not None and len(found) > most:
                raise _Refused(_LONGER)
            _write(stream, found)
            return True
        found = self._files.cat_file(f"{self._root}/{name}", start=start, end=min(start + block, size))
        if not found:
            raise _Refused(_SHORTER)
        _write(stream, found)
        return stream.tell() >= size

    async def _stream_http(self, url: str, stream: Sink, size: int | None, deadline: float) -> None:
        silence_s = min(_SILENCE_S, max(deadline - time.monotonic(), 0.01))
        session = await self._files.set_session()
        start = stream.tell()
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        # By now fsspec has loaded it; a dataset on this machine does without.
        timeout = importlib.import_module("aiohttp").ClientTimeout
        limits = timeout(total=None, sock_connect=silence_s, sock_read=silence_s)
        async with session.get(url, headers=headers, timeout=limits) as answer:
            if answer.status >= 400:
                if answer.status in _WORTH_ANOTHER_TRY or answer.status >= 500:
                    raise ConnectionError(f"the server answered {answer.status}")
                raise _Refused(answer.status)
            if start and answer.status != 206:
                # A server without ranges sends everything again.
                stream.seek(0)
            coded = answer.headers.get("Content-Encoding", "identity") != "identity"
            if None not in (size, answer.content_length) and not coded and stream.tell() + answer.content_length > size:
                raise _Refused(_LONGER)
            async for chunk in answer.content.iter_chunked(_CHUNK):
                _write(stream, chunk)
                if size is not None and stream.tell() > size:
                    raise _Refused(_LONGER)
                if time.monotonic() > deadline:
                    raise TimeoutError("the time for one file is over")


def _write(stream: Sink, data: bytes) -> None:
    try:
        stream.write(data)
    except OSError as error:
        raise _OwnDisk(error) from None


def _answer(place: str, error: Exception) -> Exception:
    status = error.status if isinstance(error, _Refused) else 403 if isinstance(error, PermissionError) else 404
    if status in {404, 410}:
        return FileNotFoundError(f"{place}: no such file (404)")
    if status in {401, 403}:
        return DatasetError(
            f"{place}: access denied ({status}); give credentials by the environment (AWS_*), ~/.netrc for HTTP, or "
            "~/.config/fsspec, and check that they may read this place"
        )
    if status in {_SHORTER, _LONGER}:
        return DatasetError(
            f"{place}: {'shorter' if status == _SHORTER else 'longer'} there than recorded: it was changed, or not "
            "copied completely; copy the dataset there again, dataset.json last"
        )
    return DatasetError(f"{place}: the server answered {status}, which another try would not change")


def _is_hopeless(error: Exception) -> bool:
    """Whether trying again is of no use: no credentials at all, a URL that is none, or a redirection to nowhere."""
    return type(error).__name__ in _HOPELESS


def _lose_patience(place: str, fault: str, got: int, total_s: float, stalled_s: float, patience: Patience) -> None:
    if total_s >= patience.total_s:
        raise DatasetError(
            f"{place}: {got} bytes arrived in {total_s:.0f} s; the limit for one file is "
            f"{patience.total_s:.0f} s (data.cache.total_s); last: {fault}"
        )
    if stalled_s >= patience.stall_s:
        raise DatasetError(
            f"{place}: no byte arrived in {stalled_s:.0f} s of retries (data.cache.stall_s); check that this "
            f"machine can reach the host. Last error: {fault}"
        )
