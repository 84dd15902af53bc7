"""Options that may stand anywhere on the command line: ``--debug``, and ``--allow-code``, which lets plugins that are
files run."""

from __future__ import annotations

import os
from dataclasses import dataclass

DEBUG_VARIABLE = "WELLSTREAM_DEBUG"
CODE_VARIABLE = "WELLSTREAM_ALLOW_CODE"


@dataclass(frozen=True, kw_only=True)
class Switch:
    """An option that may stand anywhere on the command line.

    Attributes:
        flag: the option.
        variable: variable of the environment, which remembers it for other ranks too.
        help: what it does.
    """

    flag: str
    variable: str
    help: str

    @property
    def name(self) -> str:
        """Of a parameter for it."""
        return self.flag.strip("-").replace("-", "_")


DEBUG = Switch(flag="--debug", variable=DEBUG_VARIABLE, help="show the traceback of an error")
ALLOW_CODE = Switch(flag="--allow-code", variable=CODE_VARIABLE, help="run plugins that are files")
_SWITCHES = {switch.flag: switch for switch in (DEBUG, ALLOW_CODE)}


def debugging() -> bool:
    """Whether tracebacks are shown."""
    return bool(os.environ.get(DEBUG_VARIABLE))


def without_switches(words: list[str]) -> list[str]:
    """Take ``--debug`` and ``--allow-code`` out of the words before ``--``, and remember them, for other ranks too.

    Only the command line says that code of a file may run: what the environment said before is forgotten.
    """
    options = words[: words.index("--")] if "--" in words else words
    os.environ.pop(CODE_VARIABLE, None)
    for flag, switch in _SWITCHES.items():
        if flag in options:
            os.environ[switch.variable] = "1"
    return [word for word in options if word not in _SWITCHES] + words[len(options) :]
