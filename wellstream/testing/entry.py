"""What the contracts share: an entry of a registry and the options it is tested with."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from framework.config import StrictModel
from framework.registry import Entry, Registry


class EntryContract:
    """A base class for tests of one entry: pytest runs what a subclass called ``Test...`` inherits.

    Attributes:
        registry: registry of the entry.
        key: what a config names the entry by.
        plain: options as YAML would hold them, the name among them; or override the fixture ``options``.
    """

    registry: ClassVar[Registry[Any]]
    key: ClassVar[str] = "name"
    plain: ClassVar[dict[str, Any]]

    @pytest.fixture
    def options(self) -> Any:
        """The options, checked."""
        return self.read(self.plain)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Any:
        """Return options that YAML-shaped ``plain`` describes."""
        return cls.registry.get(str(plain[cls.key])).config.from_plain(plain)

    def entry(self, options: Any) -> Entry[Any]:
        """Return the entry that the options belong to."""
        return self.registry.get(getattr(options, self.key))

    def test_options_are_read_as_they_are_written(self, options: Any) -> None:
        """A run folder and a dataset keep them, so that the same is made again."""
        assert isinstance(options, StrictModel)
        written: Any = options.plain()
        again = {self.key: written} if isinstance(written, str) else written
        assert type(options).from_plain(again) == options
