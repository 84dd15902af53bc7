"""Every error a user can meet, and the did-you-mean they share.

Each class subclasses ours, so that the command line prints one sentence instead of a traceback, and a builtin, so that
a library user may catch what Python users expect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class WellstreamError(Exception):
    """Anything wrong that a user can repair: the message says what was expected, what was found, and what to do."""


class ConfigError(WellstreamError, ValueError):
    """A configuration file or override that does not describe a run."""


class RegistryError(WellstreamError, LookupError):
    """A name that no registry entry has, or that two entries claim."""


class InputError(WellstreamError, ValueError):
    """Raw input (images, plate maps, tables) that cannot be used; names the file and, where there is one, the well."""


class DatasetError(WellstreamError, ValueError):
    """A dataset folder that is missing, incomplete, damaged or of another schema version."""


class CheckpointError(WellstreamError, ValueError):
    """A checkpoint that is missing, damaged or belongs to another model."""


class RunError(WellstreamError, RuntimeError):
    """A run that cannot go on: an objective without its labels, an empty split, a non-finite loss."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the option nearest to ``name``, or an empty string when none is near."""
    by_lower = {option.lower(): option for option in options}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ""


def without_secrets(text: str) -> str:
    """Return ``text`` with user names, passwords and queries of URLs cut out."""
    text = re.sub(r"(?<=://)[^/\s'\"]*@", "", text)
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)
