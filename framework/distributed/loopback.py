"""Keeping the ranks of one machine to themselves: their sockets belong to the loopback interface."""

from __future__ import annotations

import os
import socket

import psutil

from framework.errors import RunError

GLOO_VARIABLE, NCCL_VARIABLE = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"


def listening_on(interface: str) -> dict[str, str]:
    """Return the environment that makes gloo and NCCL listen on one interface.

    NCCL takes a bare name for the beginning of names: ``eth1`` would be ``eth10`` and ``eth1.200`` too.
    """
    return {GLOO_VARIABLE: interface, NCCL_VARIABLE: f"={interface}"}


def loopback_only() -> dict[str, str]:
    """Return the environment that makes gloo and NCCL listen on 127.0.0.1, and nothing where the user named interfaces.

    Raises:
        RunError: no such address; the ranks would listen where others can reach them.
    """
    if any(os.environ.get(name) for name in (GLOO_VARIABLE, NCCL_VARIABLE)):
        return {}
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == socket.AF_INET and one.address == "127.0.0.1" for one in addresses):
            return listening_on(name)
    raise RunError(
        "this machine has no address 127.0.0.1, at which the ranks of one machine meet; switch its loopback interface "
        f"on (as with: ip link set lo up), or name the interface to use in {GLOO_VARIABLE}"
    )
