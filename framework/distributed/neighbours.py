"""What the launchers of several machines tell each other while their ranks work: that they live, and what went wrong.

A thread writes and reads the store of node 0, so that a link that is cut holds nobody up: the launcher looks only at
what the thread saw last, and when.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from framework.distributed.failures import Failure
from framework.distributed.nodes import Joined, Node
from framework.exit_codes import EXIT_STALLED

_BEAT_S = 0.5
_FAREWELL_S = 5.0


@dataclass(kw_only=True)
class _Seen:
    """What is known of a node: ``state`` is its last text, ``when`` it changed (monotonic)."""

    state: str = ""
    when: float = field(default_factory=time.monotonic)
    failures: tuple[Failure, ...] = ()
    ended: bool = False
    left: bool = False


class Neighbours:
    """The other machines, as the launcher of this one sees them.

    Args:
        joined: all machines.
    """

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        self._me = joined.meeting.node
        self._others = [node for node in joined.nodes if node.number != self._me]
        self._seen = {node.number: _Seen() for node in self._others}
        self._own = _Seen()
        self._lost: dict[int, Failure] = {}
        self._broken = False
        self._over, self._said_goodbye = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="wellstream-neighbours", daemon=True)
        self._thread.start()

    def failures(self) -> list[Failure]:
        """Return what went wrong elsewhere: what other launchers told, and machines that are silent."""
        told = [failure for seen in self._seen.values() for failure in seen.failures]
        return told + self._silent_ones()

    def _silent_ones(self) -> list[Failure]:
        """Return a failure for each machine that has been silent for too long, as far as this one can know."""
        silent = [node for node in self._others if not self._seen[node.number].ended and self._is_silent(node)]
        if self._me and any(node.number == 0 for node in silent):
            # Others are heard through it.
            silent = [node for node in silent if node.number == 0]
        for node in silent:
            self._lost.setdefault(node.number, self._failure(node))
        return list(self._lost.values())

    def _is_silent(self, node: Node) -> bool:
        if self._broken and node.number == 0:
            return True
        return time.monotonic() - self._seen[node.number].when > self._joined.meeting.node_timeout_s

    def _failure(self, node: Node) -> Failure:
        limit = self._joined.meeting.node_timeout_s
        why = "has left without a word" if self._broken else f"has not answered for {limit:g} s (--node-timeout)"
        return Failure(
            rank=sum(one.nproc for one in self._joined.nodes[: node.number]),
            kind="error",
            message=f"{node} {why}: its program was ended, the machine is off, or the network to it is cut; run the "
            "same command again on all nodes to continue",
            code=EXIT_STALLED,
            when=time.time(),
            shared=True,
        )

    def tell(self, failures: Sequence[Failure]) -> None:
        """Let the others know what went wrong here."""
        self._own = replace(self._own, failures=tuple(replace(one, trace=one.trace[-2000:]) for one in failures))

    def are_lost(self) -> bool:
        """Whether another machine has been silent for too long."""
        return bool(self._silent_ones())

    def are_over(self) -> bool:
        """Whether every other launcher has ended its ranks, or is lost."""
        self._silent_ones()
        return all(seen.ended or number in self._lost for number, seen in self._seen.items())

    def end(self, failures: Sequence[Failure]) -> None:
        """Say that the ranks of this machine have ended."""
        self.tell(failures)
        self._own = replace(self._own, ended=True)

    def leave(self) -> None:
        """Say goodbye; node 0 stays until all others have, because they hear each other through it."""
        self._own = replace(self._own, left=True)
        until = time.monotonic() + _FAREWELL_S
        while time.monotonic() < until and not self._broken and 0 not in self._lost:
            rest = [number for number, seen in self._seen.items() if not seen.left and number not in self._lost]
            if self._said_goodbye.is_set() and (self._me or not rest):
                break
            time.sleep(_BEAT_S / 5)
        self._over.set()

    def _beat(self) -> None:
        """Write and read until the end; a store that is gone ends it."""
        store: Any = self._joined.store
        beats = 0
        try:
            while not self._over.is_set():
                own = self._own
                beats += 1
                # What node 0 cannot reach, the others learn from it.
                lost = [] if self._me else self._silent_ones()
                store.set(f"state/{self._me}", _text(replace(own, failures=(*own.failures, *lost)), beats))
                if own.left:
                    self._said_goodbye.set()
                for node in self._others:
                    key = f"state/{node.number}"
                    if store.check([key]):
                        self._note(node.number, store.get(key).decode())
                self._over.wait(_BEAT_S)
        except (RuntimeError, OSError):
            self._broken = True

    def _note(self, number: int, state: str) -> None:
        if state == self._seen[number].state:
            return
        plain = json.loads(state)
        self._seen[number] = _Seen(
            state=state,
            failures=tuple(Failure(**one) for one in plain["failures"]),
            ended=plain["ended"],
            left=plain["left"],
        )


def _text(own: _Seen, beats: int) -> str:
    return json.dumps(
        {"beat": beats, "failures": [asdict(one) for one in own.failures], "ended": own.ended, "left": own.left}
    )
