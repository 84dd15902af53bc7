"""Keeping the ranks of one machine to themselves: their sockets belong to the loopback interface."""

from __future__ import annotations

import socket

import psutil

_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


def loopback_only() -> dict[str, str]:
    """Return the environment that makes gloo and NCCL listen on 127.0.0.1; nothing where there is no such address."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == socket.AF_INET and one.address == "127.0.0.1" for one in addresses):
            return dict.fromkeys(_VARIABLES, name)
    return {}
