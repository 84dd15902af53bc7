"""What a run can go on from: checkpoints that are whole or absent."""

from framework.checkpoint.store import (
    Checkpoint,
    load,
    newest_valid,
    prune,
    read_pointer,
    restore,
    save,
    write_pointer,
)

__all__ = [
    "Checkpoint",
    "load",
    "newest_valid",
    "prune",
    "read_pointer",
    "restore",
    "save",
    "write_pointer",
]
