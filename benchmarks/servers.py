"""Servers for remote datasets: nginx over a folder, and a proxy before it that delays requests and cuts answers.

``python -m benchmarks.servers PORT DELAY_S`` runs the proxy alone and prints its own port: in a process of its own its
threads take no turns with those of a training.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from framework.interpreter import python_on

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
NO_NGINX = "no nginx; install it (Debian: apt-get install nginx-light)"

CONFIG = """
daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format plain '$status $request_method $request_uri "$http_range" $body_bytes_sent';
  access_log {work}/access.log plain;
  client_body_temp_path {work}/a; proxy_temp_path {work}/b; fastcgi_temp_path {work}/c;
  uwsgi_temp_path {work}/d; scgi_temp_path {work}/e;
  server {{
    listen 127.0.0.1:{port}; root {root};
    location /forbidden/ {{ return 403; }}
    location /whole/ {{ alias {root}/; max_ranges 0; }}
    location /slow/ {{ alias {root}/; limit_rate 100k; }}
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Nginx:
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, name: str) -> list[tuple[int, str]]:
        """(status, range) of each request of a file whose path ends in ``name``."""
        lines = [re.match(r'(\d+) GET (\S+) "([^"]*)"', line) for line in self.log.read_text().splitlines()]
        return [(int(m[1]), m[3]) for m in lines if m and m[2].endswith(name)]


@contextmanager
def serve(root: Path, work: Path) -> Iterator[Nginx]:
    """Serve a folder until the block ends."""
    work.mkdir()
    port = free_port()
    (work / "nginx.conf").write_text(CONFIG.format(work=work, port=port, root=root))
    command = [str(NGINX), "-p", str(work), "-c", str(work / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)  # noqa: S603 - our own
    try:
        await_port(port, process)
        yield Nginx(port=port, log=work / "access.log")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise RuntimeError("the server ended at once")
        time.sleep(0.02)
    raise TimeoutError(f"no server on port {port}")


@dataclass(kw_only=True)
class Proxy:
    """Passes TCP on, one request a connection at a time.

    Attributes:
        target: port of the real server.
        delay_s: before each piece a client sends, which with HTTP is each request.
        cuts: bytes after which the answers of the next connections are cut; connections beyond the list are whole.
    """

    target: int
    delay_s: float = 0.0
    cuts: list[int] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            self.port = server.getsockname()[1]
            threading.Thread(target=self._accept, args=(server,), daemon=True).start()
            yield self

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                with self._lock:
                    self.connections += 1
                    cut = self.cuts.pop(0) if self.cuts else None
                upstream = socket.create_connection(("127.0.0.1", self.target))
                for source, sink, limit, delay in ((client, upstream, None, self.delay_s), (upstream, client, cut, 0)):
                    threading.Thread(target=_pump, args=(source, sink, limit, delay), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, limit: int | None, delay_s: float) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(1 << 20):
            time.sleep(delay_s)
            if limit is not None and passed + len(data) >= limit:
                sink.sendall(data[: limit - passed])
                break
            sink.sendall(data)
            passed += len(data)
    for end in (sink, source):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def slowed(port: int, delay_s: float) -> Iterator[str]:
    """Run the proxy as a process until the block ends; give its URL."""
    command = python_on("benchmarks.servers", [str(port), str(delay_s)])
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        try:
            if process.stdout is None:
                raise RuntimeError("the proxy has no output")
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


if __name__ == "__main__":
    with Proxy(target=int(sys.argv[1]), delay_s=float(sys.argv[2])).running() as started:
        print(started.port, flush=True)
        while True:
            time.sleep(3600)
