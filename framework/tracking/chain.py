"""The hash chain of an audit file: what makes an edited, missing, repeated or moved line show.

The head after a line is SHA-256 over the head before it and the text of the line, so a head names every byte up to its
line. Each line ends with the first 16 digits of its own head, which shows where an edit begins. Each checkpoint holds
the whole head of every rank, which an edit of the audit alone cannot reach.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from framework.errors import RunError
from framework.files.failures import reason

_LINKED = re.compile(rb'(.*),"link":"([0-9a-f]{16})"\}')
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_RANKS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands in an audit file.

    Attributes:
        lines: how many lines it has.
        digest: 64 hex digits that name them all.
    """

    lines: int
    digest: str


class Chain:
    """The chain of one rank's file, from its first line on.

    Args:
        rank: whose file; the files of two ranks cannot be exchanged.
    """

    def __init__(self, rank: int) -> None:
        self._lines = 0
        self._digest = hashlib.sha256(f"wellstream audit of rank {rank}".encode()).digest()

    @property
    def head(self) -> Head:
        """The head after the last line."""
        return Head(lines=self._lines, digest=self._digest.hex())

    def linked(self, text: bytes) -> bytes:
        """Return a JSON object as the next line, its link added, without a line end."""
        body = text[:-1]
        self._extend(body)
        return b'%b,"link":"%b"}' % (body, self._digest.hex()[:16].encode())

    def add(self, line: bytes) -> bool | None:
        """Go on over a line that stands in a file, without its line end.

        Returns:
            Whether its link is right; None where it has none, as lines of runs had before there were chains.
        """
        found = _LINKED.fullmatch(line)
        self._extend(found[1] if found else line)
        return found[2] == self._digest.hex()[:16].encode() if found else None

    def _extend(self, body: bytes) -> None:
        self._digest = hashlib.sha256(self._digest + body).digest()
        self._lines += 1


def heads_to_plain(heads: Mapping[int, Head]) -> dict[str, dict[str, Any]]:
    """Return heads as JSON: rank -> lines and digest."""
    return {str(rank): {"lines": heads[rank].lines, "digest": heads[rank].digest} for rank in sorted(heads)}


def heads_of_state(state: Mapping[str, Any], where: object) -> dict[int, Head] | None:
    """Return the heads in a checkpoint's ``state.json``; None where it was written before there were chains.

    Args:
        state: its content.
        where: the checkpoint, for the message.

    Raises:
        RunError: what stands there is no list of heads.
    """
    plain = state.get("audit")
    if plain is None:
        return None
    heads = {}
    try:
        for key, value in plain.items():
            rank, lines, digest = int(key), value["lines"], value["digest"]
            if not (0 <= rank < _MOST_RANKS and type(lines) is int and lines > 0 and _DIGEST.fullmatch(digest)):
                raise ValueError(f"rank {key}: {value}")
            heads[rank] = Head(lines=lines, digest=digest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{where}: the heads of the audit in its state.json cannot be read: {reason(error)}") from None
    return heads
