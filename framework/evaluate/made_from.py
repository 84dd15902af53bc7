"""What a file of results says of its making: the run's config, its folder, its channels and its dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.config.source import parse_yaml
from framework.errors import ConfigError


class MadeFrom:
    """Facts of a file of ``wellstream predict``, ``embed`` or ``features``.

    Attributes:
        name: name of the file, for messages.
        facts: ``uns["wellstream"]``; empty for a file of another program.
    """

    name: str
    facts: Mapping[str, Any]

    @property
    def channels(self) -> tuple[str, ...] | None:
        """Channels the run saw; None for all of its dataset, or where the file does not say."""
        named = self.data.get("channels")
        return tuple(map(str, named)) if named else None

    @property
    def data(self) -> Mapping[str, Any]:
        """The section ``data`` of the run's config; empty when the file does not carry it."""
        return self.section("data")

    @property
    def dataset_path(self) -> str | None:
        """Folder or URL of the dataset that the file was made on; None where it does not say."""
        told = self.facts.get("dataset_path") or self.data.get("path")
        return str(told) if told else None

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run that made the file, as its config names it; it may be gone."""
        told = self._config().get("run_dir")
        return Path(str(told)) if told else None

    @property
    def plugins(self) -> list[str]:
        """Plugins of the run, as its config keeps them."""
        named = self._config().get("plugins")
        return [str(name) for name in named] if isinstance(named, list) else []

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a section of the run's config; empty when the file does not carry it."""
        section = self._config().get(name)
        return section if isinstance(section, dict) else {}

    def _config(self) -> Mapping[str, Any]:
        try:
            config = parse_yaml(str(self.facts.get("config", "")), self.name).data
        except ConfigError:
            return {}
        return config if isinstance(config, dict) else {}
