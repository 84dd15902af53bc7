"""What a run can go on from: checkpoints that are whole or absent."""

from framework.checkpoint.store import (
    Checkpoint,
    digest,
    load,
    newest_valid,
    of_digest,
    prune,
    read_pointer,
    restore,
    restore_optimiser,
    save,
    sound_states,
    write_pointer,
)

__all__ = [
    "Checkpoint",
    "digest",
    "load",
    "newest_valid",
    "of_digest",
    "prune",
    "read_pointer",
    "restore",
    "restore_optimiser",
    "save",
    "sound_states",
    "write_pointer",
]
