"""What a run can go on from: checkpoints that are whole or absent."""

from framework.checkpoint.contents import Contents, contents_of
from framework.checkpoint.listing import (
    AVERAGE,
    WEIGHTS,
    digest,
    newest_attempt,
    newest_valid,
    of_digest,
    prune,
    read_pointer,
    sound_states,
    write_pointer,
)
from framework.checkpoint.store import Checkpoint, load, restore, restore_optimiser
from framework.checkpoint.writer import Writer
from framework.checkpoint.writing import write

__all__ = [
    "AVERAGE",
    "WEIGHTS",
    "Checkpoint",
    "Contents",
    "Writer",
    "contents_of",
    "digest",
    "load",
    "newest_attempt",
    "newest_valid",
    "of_digest",
    "prune",
    "read_pointer",
    "restore",
    "restore_optimiser",
    "sound_states",
    "write",
    "write_pointer",
]
