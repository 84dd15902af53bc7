"""Which address and which network interface of this machine the other machines of a run reach."""

from __future__ import annotations

import os
import socket

import psutil

from framework.distributed.loopback import GLOO_VARIABLE, NCCL_VARIABLE
from framework.errors import RunError

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def address_towards(host: str, port: int) -> str:
    """Return the address that ``host``, a name of this machine, stands for: one that other machines reach, if any.

    Raises:
        RunError: the name stands for no address, or for none of this machine.
    """
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except socket.gaierror as error:
        raise RunError(
            f"--master: no machine is called '{host}' here ({error.strerror}); give the address of node 0"
        ) from error
    own = {address for _, address in _own()}
    mine = [address for address in found if address in own or address.startswith("127.")]
    if not mine:
        raise RunError(
            f"--master: {host} ({', '.join(dict.fromkeys(found))}) is not this machine, which has --node-rank 0; its "
            f"addresses are {', '.join(sorted(own))}"
        )
    return min(mine, key=lambda address: address.startswith("127.") or address == "::1")


def interface_with(address: str) -> tuple[str, str]:
    """Return name and address of the interface for ranks.

    Args:
        address: address of this machine, which is taken unless the user named an interface.

    Raises:
        RunError: the interface that the user named has no address.
    """
    wanted = _wanted()
    if wanted is None:
        # All of 127.0.0.0/8 is the loopback interface, whichever of it that interface lists.
        at = "127.0.0.1" if address.startswith("127.") else address
        name = next((name for name, one in _own() if one == at), None)
        if name is None:
            raise RunError(
                f"no network interface of this machine has the address {address}; name it in {GLOO_VARIABLE}"
            )
        return name, address
    found = next((one for name, one in _own() if name == wanted), None)
    if found is None:
        names = sorted({name for name, _ in _own()})
        raise RunError(f"{GLOO_VARIABLE}={wanted}: no such interface with an address; there are {', '.join(names)}")
    return wanted, found


def _wanted() -> str | None:
    """Return the interface that the user named; what NCCL alone is told may also be a pattern, which names none."""
    named = os.environ.get(GLOO_VARIABLE)
    if named:
        return named
    of_nccl = os.environ.get(NCCL_VARIABLE, "").removeprefix("=")
    return of_nccl if any(name == of_nccl for name, _ in _own()) else None


def _own() -> list[tuple[str, str]]:
    """Return (interface, address), IPv4 first."""
    every = [
        (family, name, one.address.partition("%")[0])
        for name, addresses in psutil.net_if_addrs().items()
        for one in addresses
        for family in _FAMILIES
        if one.family == family
    ]
    return [(name, address) for _, name, address in sorted(every, key=lambda one: _FAMILIES.index(one[0]))]
