"""What a server of HTTP may answer."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from framework.data.remote.download import Patience, RemoteFolder
from framework.errors import DatasetError


class Answers(BaseHTTPRequestHandler):
    """``/loop`` leads to itself, ``/disk`` to a file of this machine, ``/more`` announces more than it sends."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/more"):
            self.send_response(200)
            self.send_header("Content-Length", str(10**15))
            self.end_headers()
            self.wfile.write(b"12345678")
            time.sleep(5)
            return
        self.send_response(302)
        self.send_header("Location", self.path if self.path.startswith("/loop") else "file:///etc/hostname")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("loop", "/loop/a.tar: cannot be read: TooManyRedirects"),
        ("disk", "/disk/a.tar: cannot be read: NonHttpUrlRedirectClientError: file:///etc/hostname"),
        ("more", "/more/a.tar: longer there than recorded"),
    ],
)
def test_what_no_other_try_would_change_is_said_at_once(url: str, folder: str, sentence: str) -> None:
    content = io.BytesIO()
    with pytest.raises(DatasetError) as caught:
        RemoteFolder(f"{url}/{folder}").download("a.tar", content, 8, Patience(stall_s=60.0))
    assert sentence in str(caught.value)
    assert content.getvalue() == b"", "nothing of it is taken"
