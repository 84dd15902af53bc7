"""The reference of ``import wellstream as ws``: each name of the face, described by its docstring."""

from __future__ import annotations

import inspect
from typing import Any

from reference_configs import Pages

import wellstream as ws
from framework.registry import Registry


def page() -> Pages:
    """Return the page of all names."""
    return {"reference/python.md": ("Python", _page())}


def _signature(name: str, thing: Any) -> str:
    """Return how a name is called, without types, which the tables below have."""
    if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, BaseException)):
        return ""
    parameters = [each.replace(annotation=each.empty) for each in inspect.signature(thing).parameters.values()]
    return f"```python\nws.{name}{inspect.Signature(parameters)}\n```\n\n"


def _page() -> str:
    text = (
        "# Python\n\nEvery name of `import wellstream as ws`. A name loads what is behind it when it is first used. "
        "`ws.__version__` is the version of this installation.\n\n"
    )
    registries = []
    for name in sorted(ws.__all__, key=str.casefold):
        thing = getattr(ws, name)
        if isinstance(thing, Registry):
            registries.append(f"| `ws.{name}` | {thing.kind} | {', '.join(f'`{entry}`' for entry in thing.names())} |")
        elif inspect.isclass(thing) or inspect.isfunction(thing):
            place = f"{thing.__module__}.{thing.__qualname__}"
            text += f"## ws.{name}\n\n{_signature(name, thing)}::: {place}\n\n"
    text += "## Registries\n\nOpen sets, to which plugins add.\n\n| name | holds | entries |\n|---|---|---|\n"
    return text + "\n".join(registries) + "\n"
