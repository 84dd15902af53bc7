"""A trained run on several processes that share its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framework import run as rooms
from wellstream.runs import Run


@contextmanager
def joined(folder: Path | str, *, device: str | None = None) -> Iterator[Run]:
    """Open a trained run on the processes that torchrun started, which share the work; without torchrun on one.

    Every process makes the same calls of ``write_embeddings``, ``write_layers``, ``write_predictions`` and ``inpaint``.
    Rank 0 writes, and all get the summary. If a process group exists already, it is used and left as it is.

    Args:
        folder: the run folder.
        device: ``auto``, ``cpu`` or ``cuda``; default: that of the run's config.

    Raises:
        ConfigError: no such device.
        RunError: no run there, no GPU for each process, or other weights on one of them.
    """
    ranks = rooms.joined(rooms.RunFolder(root=Path(folder)).config(), device)
    with ranks.leaving():
        yield Run(folder, device, ranks)
