"""Several machines, one run: how their launchers find each other, and how each notices that another is gone.

Node 0 keeps a small store that all others connect to. Through it the launchers say who they are, check that each can
reach each other, and from then on tell every second that they are alive and what went wrong on their side. So a machine
that disappears, or a cable that is cut, ends the run on both sides with a sentence, whatever the ranks wait for.

Nothing is encrypted and nobody has to prove who he is: this is for machines that trust their network.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from framework.distributed.interfaces import address_towards, interface_with
from framework.distributed.loopback import listening_on
from framework.distributed.ranks import RENDEZVOUS_VARIABLE, STORE_SCHEME
from framework.errors import RunError

DEFAULT_PORT = 29500
JOIN_TIMEOUT_S = 300.0
NODE_TIMEOUT_S = 60.0
_PROBE_S = 5.0
_POLL_S = 0.2
_NAME_S = 30.0
_LATER_S = 15.0
"""What node 0 needs to tell the others that somebody is missing."""


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Where the launchers of a run meet.

    Attributes:
        nodes: machines of the run, >= 2.
        node: number of this one, 0 .. nodes - 1.
        host: name or address of node 0.
        port: where node 0 listens.
        run_id: two runs that meet at the same place are told apart by it.
        join_timeout_s: how long to wait for the other nodes.
        node_timeout_s: how long another node may be silent before the run ends.
        again: what to type on another node, with ``{node}`` for its number.
    """

    nodes: int
    node: int
    host: str
    port: int = DEFAULT_PORT
    run_id: str = "none"
    join_timeout_s: float = JOIN_TIMEOUT_S
    node_timeout_s: float = NODE_TIMEOUT_S
    again: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.node < self.nodes:
            raise RunError(
                f"--node-rank: expected a number from 0 to {self.nodes - 1} for {self.nodes} nodes, found {self.node}"
            )
        if min(self.join_timeout_s, self.node_timeout_s) <= 0:
            raise RunError("--join-timeout and --node-timeout: expected seconds > 0")

    @property
    def place(self) -> str:
        """Host and port, as people type them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place_of_master(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST``, ``HOST:PORT`` or ``[ADDRESS]:PORT``.

    Raises:
        RunError: it is none of them.
    """
    host, colon, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "")
    if not colon:
        host = text
    host = host.removeprefix("[").removesuffix("]")
    if not host or (colon and not (port.isdigit() and 0 < int(port) < 1 << 16)):
        raise RunError(f"--master: expected HOST or HOST:PORT, the name of node 0, found '{text}'")
    return host, int(port) if colon else DEFAULT_PORT


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the run.

    Attributes:
        number: 0 .. nodes - 1.
        host: its name.
        address: at which its ranks listen.
        port: at which others try whether they reach it, before ranks start.
        nproc: its ranks.
        mark: mark of the launcher, so that two with one number are noticed.
    """

    number: int
    host: str
    address: str
    port: int
    nproc: int
    mark: str

    def __str__(self) -> str:
        return f"node {self.number} ({self.host}, {self.address})"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """All machines, found.

    Attributes:
        meeting: where they met.
        nodes: in the order of their numbers.
        interface: interface of this machine, that its ranks listen at.
        store: store that node 0 keeps.
    """

    meeting: Meeting
    nodes: tuple[Node, ...]
    interface: str
    store: Any

    @property
    def world(self) -> int:
        """Ranks of the run."""
        return sum(node.nproc for node in self.nodes)

    @property
    def first_rank(self) -> int:
        """Of this machine."""
        return sum(node.nproc for node in self.nodes[: self.meeting.node])

    def environment(self) -> dict[str, str]:
        """Return what ranks of this machine need to meet the others, beside their numbers."""
        place, master = self.meeting, self.nodes[0].address
        shown = f"[{master}]" if ":" in master else master
        return {
            **listening_on(self.interface),
            RENDEZVOUS_VARIABLE: f"{STORE_SCHEME}{shown}:{place.port}",
            # Accelerate asks for it where a run has several machines.
            "MASTER_ADDR": master,
            "MASTER_PORT": str(place.port),
        }


@contextmanager
def join(meeting: Meeting, nproc: int) -> Iterator[Joined]:
    """Wait for the launchers of all machines; node 0 keeps their store until the block ends.

    Args:
        meeting: where.
        nproc: ranks of this machine.

    Raises:
        RunError: nodes are missing after ``join_timeout_s``, cannot reach each other, or are of another run.
    """
    until = time.monotonic() + meeting.join_timeout_s
    with closing(_listener(meeting) if meeting.node == 0 else _reached(meeting, until)) as spoken:
        address = spoken.getsockname()[0]
        store = _store(meeting, address, spoken if meeting.node == 0 else None)
    if meeting.node:
        _need_same_run(store, meeting, until)
    interface, address = interface_with(address)
    with socket.create_server((address, 0), family=_family(address), backlog=meeting.nodes) as probe:
        me = Node(
            number=meeting.node,
            host=socket.gethostname(),
            address=address,
            port=probe.getsockname()[1],
            nproc=nproc,
            mark=secrets.token_hex(8),
        )
        store.set(f"node/{me.number}", json.dumps(asdict(me)))
        nodes = _all_came(store, meeting, until) if meeting.node == 0 else _list_of_nodes(store, meeting, until)
        if nodes[me.number].mark != me.mark:
            raise RunError(f"two processes joined as node {me.number}: give each machine its own --node-rank")
        _need_paths(store, meeting, nodes, me)
        yield Joined(meeting=meeting, nodes=nodes, interface=interface, store=store)


def _listener(meeting: Meeting) -> socket.socket:
    """Return the socket of node 0, bound to the one address that the others know."""
    address = _own_address(meeting)
    try:
        return socket.create_server((address, meeting.port), family=_family(address), backlog=meeting.nodes * 16)
    except OSError as error:
        raise RunError(
            f"node 0 cannot listen at {meeting.place} ({address}): {error.strerror}; --master must name the machine of "
            f"--node-rank 0 and a free port, on all nodes alike, as: --master {meeting.host}:{meeting.port + 1}"
        ) from error


def _own_address(meeting: Meeting) -> str:
    """Return the address of node 0; its name may be new and not known everywhere, as that of a pod that just began."""
    until = time.monotonic() + min(meeting.join_timeout_s, _NAME_S)
    while True:
        try:
            return address_towards(meeting.host, meeting.port)
        except RunError:
            if time.monotonic() > until:
                raise
        time.sleep(_POLL_S)


def _reached(meeting: Meeting, until: float) -> socket.socket:
    """Return a connection to node 0, which may start later than this node."""
    reason = ""
    while time.monotonic() < until:
        try:
            return socket.create_connection((meeting.host, meeting.port), timeout=min(_PROBE_S, meeting.join_timeout_s))
        except TimeoutError:
            reason = "no answer"
        except OSError as error:
            reason = (error.strerror or "no answer").lower()
        time.sleep(_POLL_S)
    raise RunError(
        f"node 0 was not reached at {meeting.place} within {meeting.join_timeout_s:g} s (--join-timeout): "
        f"{reason}; start it there{_typed(meeting, 0)}, and make sure that port {meeting.port} is open "
        "between the machines"
    )


def _store(meeting: Meeting, address: str, listener: socket.socket | None) -> Any:
    try:
        return dist.TCPStore(  # type: ignore[attr-defined]
            address if listener is not None else meeting.host,
            meeting.port,
            is_master=listener is not None,
            timeout=timedelta(seconds=_PROBE_S),
            wait_for_workers=False,
            # The store owns it from then on.
            master_listen_fd=listener.detach() if listener is not None else None,
        )
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"another program answers at {meeting.place}, not node 0 of this run; name another port"
        ) from error


def _need_same_run(store: Any, meeting: Meeting, until: float) -> None:
    expected = f"{meeting.run_id} of {meeting.nodes} nodes"
    found = _waited_for(store, "run", until, f"node 0 at {meeting.place} does not say which run it is")
    if found != expected:
        raise RunError(
            f"another run uses {meeting.place}: expected '{expected}', found '{found}'; give all nodes of a "
            "run the same --nodes and --rdzv-id, and each run a port of its own"
        )


def _all_came(store: Any, meeting: Meeting, until: float) -> tuple[Node, ...]:
    """Wait, as node 0, for all others, and tell them who is there."""
    store.set("run", f"{meeting.run_id} of {meeting.nodes} nodes")
    numbers = range(meeting.nodes)
    while missing := [number for number in numbers if not store.check([f"node/{number}"])]:
        if time.monotonic() > until:
            said = _missing(meeting, missing)
            store.set("nodes", json.dumps(said))
            _until(lambda: store.add("left", 0) >= meeting.nodes - len(missing) - 1, _PROBE_S)
            raise RunError(said)
        time.sleep(_POLL_S)
    found = [json.loads(store.get(f"node/{number}")) for number in numbers]
    store.set("nodes", json.dumps(found))
    return tuple(Node(**facts) for facts in found)


def _missing(meeting: Meeting, missing: Sequence[int]) -> str:
    which = f"node{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
    own = ipaddress.ip_address(address_towards(meeting.host, meeting.port)).is_loopback
    hint = f"; {meeting.host} is an address that only node 0 itself reaches: name another in --master" if own else ""
    return (
        f"{meeting.nodes - len(missing)} of {meeting.nodes} nodes came to {meeting.place} within "
        f"{meeting.join_timeout_s:g} s (--join-timeout), missing: {which}; start it there"
        f"{_typed(meeting, missing[0])}{hint}"
    )


def _typed(meeting: Meeting, node: int) -> str:
    return f" with: {meeting.again.format(node=node)}" if meeting.again else ""


def _list_of_nodes(store: Any, meeting: Meeting, until: float) -> tuple[Node, ...]:
    """Wait, as another node than 0, for the list of all."""
    late = until + _LATER_S
    found = json.loads(_waited_for(store, "nodes", late, f"node 0 at {meeting.place} has stopped answering"))
    if isinstance(found, str):
        store.add("left", 1)
        raise RunError(found)
    return tuple(Node(**facts) for facts in found)


def _need_paths(store: Any, meeting: Meeting, nodes: Sequence[Node], me: Node) -> None:
    """Let every node try every other; all raise the same error where one is out of reach."""
    blocked = [node.number for node in nodes if node != me and not _reaches(node)]
    store.set(f"blocked/{me.number}", json.dumps(blocked))
    until = time.monotonic() + _PROBE_S * (len(nodes) + 1)
    told: list[str] = []
    for node in nodes:
        silent = f"{node} has stopped answering"
        found = json.loads(_waited_for(store, f"blocked/{node.number}", until, silent))
        told += [f"{node} cannot reach {nodes[other]}" for other in found]
    # Node 0 keeps the store until all have read it.
    store.add("left", 1)
    if me.number == 0:
        _until(lambda: store.add("left", 0) >= len(nodes), _PROBE_S)
    if told:
        raise RunError(
            f"{'; '.join(told)}: ranks talk over ports that the system chooses: open all ports between the machines, "
            "or name the network that they share on each of them: GLOO_SOCKET_IFNAME=eth1 NCCL_SOCKET_IFNAME=eth1"
        )


def _reaches(node: Node) -> bool:
    try:
        socket.create_connection((node.address, node.port), timeout=_PROBE_S).close()
    except OSError:
        return False
    return True


def _waited_for(store: Any, key: str, until: float, sentence: str) -> str:
    """Return the text of a key, once it is there; Ctrl-C is answered meanwhile, as a wait of the store does not."""
    with suppress(RuntimeError):  # its other end has left
        while time.monotonic() < until:
            if store.check([key]):
                return str(store.get(key).decode())
            time.sleep(_POLL_S)
    raise RunError(f"{sentence}; start all nodes again")


def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(_POLL_S)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
