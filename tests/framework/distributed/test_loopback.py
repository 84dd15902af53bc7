"""Ranks of one machine listen on its loopback interface, or on what the user named; never elsewhere in silence."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import psutil
import pytest

from framework.distributed import start_processes
from framework.distributed.loopback import loopback_only
from framework.errors import RunError

OUTSIDE = SimpleNamespace(family=socket.AF_INET, address="192.0.2.7")
INSIDE = SimpleNamespace(family=socket.AF_INET, address="127.0.0.1")


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)


def test_the_interface_with_the_address_is_taken_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [OUTSIDE], "lo9": [OUTSIDE, INSIDE]})
    assert loopback_only() == {"GLOO_SOCKET_IFNAME": "lo9", "NCCL_SOCKET_IFNAME": "=lo9"}


def test_without_the_address_ranks_do_not_start_unless_an_interface_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [OUTSIDE]})
    with pytest.raises(RunError, match=r"has no address 127\.0\.0\.1, .* or name the interface to use in GLOO_SOCKET"):
        start_processes("launch.train", [], 2)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    assert loopback_only() == {}
