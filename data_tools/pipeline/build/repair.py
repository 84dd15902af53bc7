"""Shards of a finished dataset that were lost: made again from the same raw files, or not at all.

A build is a function of its input, so a shard that is made again must have the checksum the manifest records.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from data_tools.pipeline.build.folder import BuildFolder, explained, is_whole
from data_tools.pipeline.build.joining import tile_index
from data_tools.pipeline.build.kind import C, F, J, Kind, S
from data_tools.pipeline.build.runner import Runner
from framework.data.format.schema import INDEX_NAME, TILES_NAME, Manifest
from framework.errors import DatasetError

_CHANGED = "so the raw files or the versions of the libraries changed since"


def lost_files(manifest: Manifest, root: Path) -> set[str]:
    """Return the names of shards, and of files beside them, that are absent or of another size than recorded."""
    beside = [item for item in manifest.files if item.name.startswith("shards/")]
    return {item.name for item in (*manifest.shards, *beside) if not is_whole(item, root)}


def restore_index(manifest: Manifest, root: Path) -> tuple[str, ...]:
    """Make ``tiles.arrow`` again if it is lost; return a sentence about it, or none.

    Raises:
        DatasetError: it came out otherwise, because tiles.parquet is damaged.
    """
    lost = [item for item in manifest.files if item.name == INDEX_NAME and not is_whole(item, root)]
    for item in lost:
        if not (root / TILES_NAME).is_file():
            raise DatasetError(f"{root / TILES_NAME}: missing, so {INDEX_NAME} cannot be made again; {anew(root)}")
        if tile_index(root, coded=manifest.codec is not None) != item:
            (root / item.name).unlink()
            raise DatasetError(
                f"{root / item.name}: was made again and is different, so {TILES_NAME} is damaged; {anew(root)}"
            )
    return tuple(f"{item.name} was made again from {TILES_NAME}" for item in lost)


def remake(kind: Kind[C, F, J, S], jobs: Sequence[J], manifest: Manifest, folder: BuildFolder, runner: Runner) -> None:
    """Make lost shards again and compare them with the manifest.

    Args:
        kind: kind of the ingest.
        jobs: those of the lost shards.
        manifest: manifest of the finished dataset.
        folder: where it lies.
        runner: where tasks run.

    Raises:
        DatasetError: one came out otherwise, and is removed, so that nobody takes it for the lost one; or the input
            has no bags for it any more.
    """
    recorded = {item.name: item for item in (*manifest.shards, *manifest.files)}
    for job, facts in zip(jobs, runner.each(kind.make, jobs), strict=True):
        made = () if facts.shard is None else facts.shard.files
        wrong = [item.name for item in made if recorded[item.name] != item]
        if wrong or not made:
            for name in wrong:
                (folder.root / name).unlink()
            raise DatasetError(f"{job.files.file}: was made again and is different, {_CHANGED}; {anew(folder.root)}")
    for name in sorted(lost_files(manifest, folder.root)):
        raise DatasetError(f"{folder.root / name}: lost, and the input no longer makes this shard, {_CHANGED}; "
            f"{anew(folder.root)}")  # fmt: skip
    with explained(folder.root):
        shutil.rmtree(folder.parts, ignore_errors=True)


def anew(root: Path) -> str:
    """Return what to do about a dataset that cannot be made whole again."""
    return f"to start anew: rm -r {root} and ingest again"
