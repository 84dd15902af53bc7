"""Registries: open sets of independent things, chosen by name in a config.

One decorator line adds an entry; its options are a pydantic model, so a config file can be checked before anything is
built. Duplicate names are errors, never overrides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from framework.errors import RegistryError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[T]):
    """One registered thing.

    Attributes:
        name: what a config writes after ``name:``.
        config: pydantic model class of the entry's options; it has a field ``name``.
        build: what the decorator was put on (a class or a function).
    """

    name: str
    config: type[Any]
    build: T


class Registry(Generic[T]):
    """A set of named builders of one kind (``objective``, ``backbone``, ``plan`` ...)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, config: type[Any]) -> Callable[[T], T]:
        """Return a decorator that adds its target under ``name`` with options ``config``.

        Raises:
            RegistryError: ``name`` is taken.
        """

        def add(build: T) -> T:
            if name in self._entries:
                owner = getattr(self._entries[name].build, "__module__", "?")
                raise RegistryError(
                    f"{self.kind} '{name}' is registered twice: by {owner} and by {getattr(build, '__module__', '?')}; "
                    "rename one of them"
                )
            self._entries[name] = Entry(name=name, config=config, build=build)
            return build

        return add

    def get(self, name: str) -> Entry[T]:
        """Return the entry called ``name``.

        Raises:
            RegistryError: there is none; the message lists all names and the nearest.
        """
        if name not in self._entries:
            raise RegistryError(
                f"no {self.kind} is called '{name}'; expected one of: {', '.join(self.names())}"
                + did_you_mean(name, self.names())
            )
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names in alphabetical order."""
        return sorted(self._entries)
