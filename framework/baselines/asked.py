"""Which baselines are asked for, from the words of a command or a call."""

from __future__ import annotations

from collections.abc import Sequence

from framework.baselines.compare import BaselinesConfig, chosen
from framework.config import load_config
from framework.errors import ConfigError

_OF_BASELINES, _ASKED = "baselines.", "baselines="


def asked(baselines: str | Sequence[str], overrides: Sequence[str]) -> tuple[BaselinesConfig | None, list[str]]:
    """Return the baselines, and the overrides that are none of theirs.

    Args:
        baselines: ``all``, or names, also as ``count,intensity``; empty: those that ``overrides`` ask for.
        overrides: words such as ``baselines=all``, ``baselines.resamples=500`` and those of the evaluation.

    Returns:
        None in the place of baselines where none is asked for.

    Raises:
        ConfigError: no such baseline or option, or options without a baseline.
    """
    words, others = _taken(_ASKED, overrides)
    of_baselines, others = _taken(_OF_BASELINES, others)
    named = baselines or ",".join(words)
    names = [name for name in (named.split(",") if isinstance(named, str) else named) if name]
    if names:
        config = load_config({"names": names}, BaselinesConfig, of_baselines)
        chosen(config.names)
        return config, others
    if of_baselines:
        raise ConfigError(f"{_OF_BASELINES}{of_baselines[0]}: no baseline was asked for; add --baselines all")
    return None, others


def _taken(prefix: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what follows ``prefix`` in the words that begin with it, and the other words."""
    mine = [word.removeprefix(prefix) for word in words if word.startswith(prefix)]
    return mine, [word for word in words if not word.startswith(prefix)]
