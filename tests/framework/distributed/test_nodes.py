"""Launchers of several machines: who is missing, who is out of reach, what went wrong elsewhere, each in one sentence.

The machines are threads of this process that listen on 127.0.0.1; ``tests/launch/test_hosts.py`` has some with networks
of their own.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from framework.distributed import Ending, Meeting, nodes, place_of_master, processes, start_processes
from framework.distributed.interfaces import address_towards, interface_with
from framework.errors import RunError

pytestmark = pytest.mark.distributed

ROOT = Path(__file__).resolve().parents[3]
RANK = "tests.fixtures.light_rank"
LOST = "its program was ended, the machine is off, or the network to it is cut; run the same command again on all nodes"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


def meeting(node: int, port: int, **changes: object) -> Meeting:
    facts = {"nodes": 2, "node": node, "host": "127.0.0.1", "port": port, "join_timeout_s": 30.0, **changes}
    return Meeting(again="wellstream train x.yaml --node-rank {node}", **facts)  # type: ignore[arg-type]


def together(port: int, *acts: Sequence[str], **changes: object) -> list[Ending]:
    """Start one launcher per entry, whose ranks do what it says, and return how each saw the end."""
    words = [f"{rank}={act}" for rank, act in enumerate(act for each in acts for act in each)]
    nodes_of = [meeting(node, port, nodes=len(acts), **changes) for node in range(len(acts))]
    with ThreadPoolExecutor(len(acts)) as pool:
        started = [
            pool.submit(start_processes, RANK, words, len(each), one) for each, one in zip(acts, nodes_of, strict=True)
        ]
        return [one.result(timeout=120) for one in started]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("alpha", ("alpha", 29500)),
        ("alpha:4000", ("alpha", 4000)),
        ("fe80::1", ("fe80::1", 29500)),
        ("[fe80::1]:4000", ("fe80::1", 4000)),
    ],
)
def test_a_place_is_read_with_and_without_port(text: str, place: tuple[str, int]) -> None:
    assert place_of_master(text) == place


@pytest.mark.parametrize("text", ["", ":4000", "alpha:", "alpha:x", "alpha:70000"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(RunError, match=r"--master: expected HOST or HOST:PORT, the name of node 0, found"):
        place_of_master(text)


def test_a_number_beyond_the_nodes_is_refused(port: int) -> None:
    with pytest.raises(RunError, match="--node-rank: expected a number from 0 to 1 for 2 nodes, found 2"):
        meeting(2, port)


def test_ranks_are_numbered_over_machines_which_may_have_different_numbers_of_them(port: int) -> None:
    # Rank 2 alone is on node 1; a wrong number would find no word for it, or another one.
    assert together(port, ["done", "done"], ["code=0"]) == [Ending(code=0), Ending(code=0)]


def test_an_error_on_one_machine_is_said_by_all(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 1.0)
    began = time.monotonic()
    found = together(port, ["wait"], ["wait", "says=a.tar: damaged"])
    assert [one.sentences for one in found] == [("rank 2: a.tar: damaged",)] * 2
    assert [one.code for one in found] == [2, 2]
    assert time.monotonic() - began < 50, "the others would have waited a minute"


def test_nodes_that_do_not_come_are_named_by_those_that_did(port: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        came = [
            pool.submit(start_processes, RANK, [], 1, meeting(node, port, nodes=4, join_timeout_s=2.0))
            for node in (0, 2)
        ]
        said = {str(one.exception(timeout=60)) for one in came}
    assert said == {
        f"2 of 4 nodes came to 127.0.0.1:{port} within 2 s (--join-timeout), missing: nodes 1, 3; start it there with: "
        "wellstream train x.yaml --node-rank 1; 127.0.0.1 is an address that only node 0 itself reaches: name another "
        "in --master"
    }


def test_node_0_that_does_not_come_is_named_with_what_to_type_there(port: int) -> None:
    with pytest.raises(RunError) as caught:
        start_processes(RANK, [], 1, meeting(1, port, join_timeout_s=0.5))
    assert str(caught.value) == (
        f"node 0 was not reached at 127.0.0.1:{port} within 0.5 s (--join-timeout): connection refused; start it there "
        f"with: wellstream train x.yaml --node-rank 0, and make sure that port {port} is open between the machines"
    )


def test_another_run_at_the_same_place_is_refused(port: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(start_processes, RANK, [], 1, meeting(0, port, run_id="night", join_timeout_s=3.0))
        second = pool.submit(start_processes, RANK, [], 1, meeting(1, port, run_id="day"))
        said = str(second.exception(timeout=60))
        assert "missing: node 1" in str(first.exception(timeout=60))
    assert f"another run uses 127.0.0.1:{port}: expected 'day of 2 nodes', found 'night of 2 nodes'" in said


def test_a_place_that_is_taken_is_named_with_the_next_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            RunError, match=rf"node 0 cannot listen at 127.0.0.1:{port} .*--master 127.0.0.1:{port + 1}"
        ):
            start_processes(RANK, [], 1, meeting(0, port))


def test_machines_that_cannot_reach_each_other_are_named_on_all(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_reaches", lambda node: node.number != 1)
    monkeypatch.setattr(socket, "gethostname", lambda: "alpha")
    with ThreadPoolExecutor(2) as pool:
        came = [pool.submit(start_processes, RANK, [], 1, meeting(node, port)) for node in range(2)]
        said = {str(one.exception(timeout=60)) for one in came}
    (sentence,) = said
    assert sentence.startswith(
        "node 0 (alpha, 127.0.0.1) cannot reach node 1 (alpha, 127.0.0.1): ranks talk over ports"
    )
    assert sentence.endswith("GLOO_SOCKET_IFNAME=eth1 NCCL_SOCKET_IFNAME=eth1")


LAUNCHER = """
import sys
from framework.distributed import Meeting, start_processes
if __name__ == "__main__":
    meeting = Meeting(nodes=2, node=int(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), node_timeout_s=2.0)
    ending = start_processes("tests.fixtures.light_rank", ["0=wait", "1=wait"], 1, meeting)
    print(*ending.sentences, sep="\\n", flush=True)
    sys.exit(ending.code)
"""


@pytest.mark.parametrize("gone", [0, 1])
def test_a_launcher_that_vanishes_is_named_by_the_other(port: int, gone: int) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(node), str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for node in range(2)
    ]
    first = [one.stdout.readline() for one in started if one.stdout is not None]
    assert [line.split()[:2] for line in first] == [["rank", "0"], ["rank", "1"]]
    started[gone].kill()
    said, _ = started[1 - gone].communicate(timeout=60)
    started[gone].communicate(timeout=60)
    assert started[1 - gone].returncode == 124
    why = "has left without a word" if gone == 0 else "has not answered for 2 s (--node-timeout)"
    assert said == f"node {gone} ({socket.gethostname()}, 127.0.0.1) {why}: {LOST} to continue\n"


def test_a_name_that_is_known_only_later_is_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, known = [], nodes.address_towards

    def late(host: str, number: int) -> str:
        looked.append(host)
        if len(looked) < 3:
            raise RunError("--master: no machine is called so")
        return known(host, number)

    monkeypatch.setattr(nodes, "address_towards", late)
    assert together(port, ["done"], ["done"]) == [Ending(code=0), Ending(code=0)]
    assert len(looked) == 3


INSIDE = SimpleNamespace(family=socket.AF_INET, address="127.0.0.1")
OUTSIDE = SimpleNamespace(family=socket.AF_INET, address="192.0.2.7")


@pytest.fixture
def two_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [INSIDE], "eth7": [OUTSIDE]})
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("two_interfaces")
def test_ranks_listen_at_the_interface_with_the_address_or_at_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert interface_with("192.0.2.7") == ("eth7", "192.0.2.7")
    assert interface_with("127.0.1.1") == ("lo", "127.0.1.1")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "eth7")
    assert interface_with("127.0.0.1") == ("eth7", "192.0.2.7")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "=eth7")
    assert interface_with("127.0.0.1") == ("eth7", "192.0.2.7")
    for pattern in ("^docker", "eth", "ib0,ib1"):
        monkeypatch.setenv("NCCL_SOCKET_IFNAME", pattern)
        assert interface_with("127.0.0.1") == ("lo", "127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    with pytest.raises(RunError, match=r"GLOO_SOCKET_IFNAME=ib0: no such interface with an address; .* eth7, lo"):
        interface_with("127.0.0.1")


@pytest.mark.usefixtures("two_interfaces")
def test_a_name_of_this_machine_stands_for_the_address_that_others_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (one, 1)) for one in found])
    found[:] = ["127.0.1.1", "192.0.2.7"]
    assert address_towards("alpha", 1) == "192.0.2.7"
    found[:] = ["192.0.2.8"]
    with pytest.raises(
        RunError, match=r"alpha \(192.0.2.8\) is not this machine, .* addresses are 127.0.0.1, 192.0.2.7"
    ):
        address_towards("alpha", 1)
