"""Values as YAML text, for configs that are written with comments between them."""

from __future__ import annotations

from typing import Any

import yaml

from framework.config.yaml_rules import Dumper

_WIDE = 1_000_000


def flow_text(value: Any) -> str:
    """Return a value of plain types on one line, as ``{size_px: 64}``."""
    shown: str = yaml.dump(
        value, Dumper=Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDE
    )
    return shown.removesuffix("\n").removesuffix("\n...")


def block_text(value: Any) -> list[str]:
    """Return a mapping of plain types as lines, one key per line."""
    shown: str = yaml.dump(
        value, Dumper=Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=_WIDE
    )
    return shown.splitlines()
