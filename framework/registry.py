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
    """A set of named builders of one kind (``objective``, ``backbone``, ``plan`` ...).

    Args:
        kind: what messages call an entry.
        options: class that the config of every entry extends, because others read what it declares; None: any.
        check: called with name and builder before an entry is added; raises RegistryError for a builder that is not
            complete, so that it fails where it is defined.
    """

    def __init__(
        self, kind: str, *, options: type[Any] | None = None, check: Callable[[str, T], None] | None = None
    ) -> None:
        self.kind = kind
        self.options = options
        self._check = check
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, config: type[Any]) -> Callable[[T], T]:
        """Return a decorator that adds its target under ``name`` with options ``config``.

        Raises:
            RegistryError: ``name`` is taken, ``config`` does not extend the options of this kind, or the builder lacks
                something.
        """
        if self.options is not None and not issubclass(config, self.options):
            raise RegistryError(
                f"{self.kind} '{name}': its options must extend {self.options.__name__}; write: "
                f"class {config.__name__}({self.options.__name__})"
            )

        def add(build: T) -> T:
            if name in self._entries:
                owner = getattr(self._entries[name].build, "__module__", "?")
                raise RegistryError(
                    f"{self.kind} '{name}' is registered twice: by {owner} and by {getattr(build, '__module__', '?')}; "
                    "rename one of them"
                )
            if self._check is not None:
                self._check(name, build)
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
