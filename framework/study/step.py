"""One step of a study: the command it is, what decides its result, and what it leaves."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from framework.config.source import parse_scalar
from framework.errors import ConfigError, did_you_mean

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command of a study.

    Attributes:
        name: name of the step, such as ``heads-0``; names its record.
        stage: what steps of one kind share, such as ``heads``.
        words: the command after ``wellstream``.
        settings: dotted key -> plain value: all that decides the result but for the steps it needs.
        needs: names of the steps whose results it reads.
        outputs: files and folders it writes, inside the folder of the study.
    """

    name: str
    stage: str
    words: tuple[str, ...]
    settings: Mapping[str, Any]
    needs: tuple[str, ...]
    outputs: tuple[Path, ...]

    @property
    def command(self) -> str:
        """The step as a person types it."""
        return f"wellstream {shlex.join(self.words)}"


def digests_of(steps: Sequence[Step]) -> dict[str, str]:
    """Return for each step 16 hex digits of its settings and, through theirs, of all steps it builds on."""
    digests: dict[str, str] = {}
    for step in steps:
        content = {"settings": step.settings, "needs": [digests[name] for name in step.needs]}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digests[step.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return digests


def named(steps: Sequence[Step], name: str, option: str) -> list[Step]:
    """Return the steps of a name, or of a stage.

    Raises:
        ConfigError: there is none.
    """
    found = [step for step in steps if name in (step.name, step.stage)]
    if not found:
        known = list(dict.fromkeys(word for step in steps for word in (step.stage, step.name)))
        raise ConfigError(
            f"{option}: expected a step of this study, one of: {', '.join(known)}, found '{name}'"
            + did_you_mean(name, known)
        )
    return found


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of YAML-shaped data; lists of plain values stay whole."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from flat(item, f"{path}.{number}")
    else:
        yield path, value


def with_contents(settings: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Return settings with the checksum of every file that one of them names, so that a changed table is seen.

    Folders are not read, and files below ``out`` are the study's own.
    """
    found = dict(settings)
    for key, value in settings.items():
        if not isinstance(value, str) or "\n" in value or "\0" in value:
            continue
        file = Path(value).expanduser()
        try:
            outside = file.is_file() and not file.resolve().is_relative_to(out.resolve())
        except OSError:
            continue
        if outside:
            found[f"{key} (content)"] = _checksum(file)
    return found


def override(key: str, value: Any) -> str:
    """Return ``key=value`` as a command takes it: text as it is where that is read as the same text."""
    text = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str) and _read(text) != value:
        text = json.dumps(value)
    return f"{key}={text}"


def _read(text: str) -> Any:
    try:
        return parse_scalar(text, "override")
    except ConfigError:
        return None


def _checksum(file: Path) -> str:
    digest = blake3()
    with file.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()[:16]
