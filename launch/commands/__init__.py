"""The commands, one module per group: its ``PANEL`` in the help, its ``ORDER`` among the groups, and ``register``."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def groups() -> list[ModuleType]:
    """Return the modules of this package in the order of the work: a new group is a new file."""
    names = [f"{__name__}.{found.name}" for found in pkgutil.iter_modules(__path__)]
    return sorted((importlib.import_module(name) for name in names), key=lambda group: int(group.ORDER))
