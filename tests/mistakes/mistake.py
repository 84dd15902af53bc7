"""What a mistake is: files that are spoilt, a command, and the code with which it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake of a newcomer.

    Attributes:
        done: what was done, as the page names it; unique.
        typed: the command, without ``wellstream``.
        changed: file -> (what stands in it, what the newcomer wrote instead).
        written: file -> its text; those that are not part of the world.
        code: exit code of the answer.
        of_warning: text of the line that is the answer, where the command ends well and warns.
    """

    done: str
    typed: str
    changed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    code: int = 2
    of_warning: str = ""
