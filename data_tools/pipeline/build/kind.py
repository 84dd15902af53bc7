"""What one kind of ingest is, for the steps that all kinds share: what it lists, what a shard is made of, how it ends.

``attempt`` calls the steps of a kind in the order in which they stand here; a kind calls nothing above it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from data_tools.pipeline.build.config import IngestBase
from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.runner import Runner
from data_tools.pipeline.build.shard_file import ShardFiles
from data_tools.readers.problem import Problem
from framework.data.format.schema import FileRecord, Manifest
from framework.errors import InputError
from framework.look.values import Look
from framework.progress import OnProgress
from framework.result import Result

_SAME_SIZE = 0.01


class Survey(Protocol):
    """What there is to ingest."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What cannot be used."""
        ...

    @property
    def pixel_size_um(self) -> float | None:
        """The pixel size of the dataset; None where it is not known."""
        ...

    @property
    def bag_counts(self) -> tuple[int, ...]:
        """Bags of each plate or export; no shard spans two of them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """All a worker needs to make one shard.

    Attributes:
        files: where it goes.
        base: folder that messages leave out of file names.
        inputs: digest of all it is made of, for the marker.
    """

    files: ShardFiles
    base: Path
    inputs: str

    @property
    def size(self) -> int:
        """What it counts for in the progress."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What a kind adds to the tables, ``qc/index.json`` and ``dataset.json``.

    Attributes:
        n_sources: plates or exports.
        problems: what was left out.
        notes: what else a reader of the dataset should know about its input.
        markers: names of the measurements stored with each tile.
        labels: columns of text stored with each tile.
        flatfields: what the report shows of flat-fields.
        targets: name of an omics target -> what the report should know of it.
        files: records of files that not every dataset has.
    """

    n_sources: int
    problems: Sequence[Problem]
    notes: Sequence[str]
    markers: tuple[str, ...]
    labels: tuple[str, ...] = ()
    flatfields: Sequence[Mapping[str, str]] = ()
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Sequence[FileRecord] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Summary(Result):
    """What every ingest says at its end, or would say.

    Attributes:
        state: ``built``, ``already_complete`` (nothing was done), ``repaired`` (lost files were made
            again) or ``dry_run`` (nothing was written).
        out: the dataset folder.
        channels: stored channels.
        pixel_size_um: pixel size of the dataset.
        tiles: stored; an estimate after a dry run.
        bytes: bytes of all shards; an estimate after a dry run.
        markers: measurements stored with each tile.
        shards: number of shards.
        shards_reused: those an earlier attempt had finished.
        problems: sentences, one for each piece of input that was (or would be) left out.
        notes: sentences of the readers.
    """

    state: Literal["built", "already_complete", "repaired", "dry_run"]
    out: str
    channels: tuple[str, ...]
    pixel_size_um: float | None
    tiles: int
    bytes: int
    markers: tuple[str, ...] = ()
    shards: int = 0
    shards_reused: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest, root: Path, **own: Any) -> Self:
        """Return what there is to say of a finished dataset; ``own`` is what only this kind says."""
        return cls(
            state="already_complete",
            out=str(root),
            channels=manifest.tile.channels,
            pixel_size_um=manifest.pixel_size_um,
            tiles=manifest.n_tiles,
            bytes=sum(shard.bytes for shard in manifest.shards),
            markers=manifest.markers,
            shards=len(manifest.shards),
            shards_reused=len(manifest.shards),
            problems=tuple(item.detail for item in manifest.skipped),
            notes=("a finished dataset of this config is there; nothing was done",),
            **own,
        )


C = TypeVar("C", bound=IngestBase)
F = TypeVar("F", bound=Survey)
J = TypeVar("J", bound=Job)
S = TypeVar("S", bound=Summary)


class Kind(ABC, Generic[C, F, J, S]):
    """One kind of ingest with its config.

    Args:
        config: what to ingest.

    Attributes:
        stage: what the progress of making shards counts.
    """

    stage: str

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def survey(self, base: Path) -> F:
        """List the input; messages name files relative to ``base``.

        Raises:
            InputError: nothing can be made of it whatever ``on_error`` says.
        """

    @abstractmethod
    def dry_run(self, found: F, folder: BuildFolder, report: OnProgress) -> S:
        """Return what would be made, from a look at some of the input; write nothing."""

    def look(self, found: F, folder: BuildFolder, summary: S, report: OnProgress) -> Look | None:
        """Look at some images of the input for a page; None for a kind that has none."""
        return None

    @abstractmethod
    def jobs(
        self, found: F, folder: BuildFolder, runner: Runner, report: OnProgress, finished: Manifest | None
    ) -> Sequence[J]:
        """Return one job per shard, in order; what shards need in common is made first.

        Args:
            found: the survey.
            folder: folder of the build.
            runner: where tasks run.
            report: called with (stage, done, total).
            finished: of a complete dataset some of whose shards are made again; what it has is taken as it is.
        """

    @staticmethod
    @abstractmethod
    def make(job: J) -> ShardFacts:
        """Make one shard with its parts, and return what its marker says; runs in a worker."""

    @abstractmethod
    def why_empty(self, found: F, facts: Sequence[ShardFacts]) -> str:
        """Return the sentence for a build without a single tile."""

    @abstractmethod
    def ending(self, found: F, jobs: Sequence[J], facts: Sequence[ShardFacts], root: Path) -> Ending:
        """Write what only this kind has, and return what is to be said of it."""

    @abstractmethod
    def of_complete(self, manifest: Manifest, root: Path) -> S:
        """Return what there is to say of a finished dataset."""

    @abstractmethod
    def of_build(self, complete: S, found: F, facts: Sequence[ShardFacts]) -> S:
        """Add to what is said of a finished dataset what only its build knows."""


def check_pixel_sizes(what: str, sizes: Mapping[str, float | None]) -> None:
    """Refuse inputs whose pixels show different areas.

    Args:
        what: one of them is called, as ``plate``.
        sizes: name -> edge of a pixel in um, where it is known.

    Raises:
        InputError: two sizes differ by more than 1 %.
    """
    known = [(name, size) for name, size in sizes.items() if size is not None]
    for name, size in known[1:]:
        first, reference = known[0]
        if abs(size - reference) > _SAME_SIZE * reference:
            raise InputError(
                f"{what} '{first}' has pixels of {reference:g} um and {what} '{name}' of {size:g} um; tiles of one "
                "dataset must show the same area; ingest them as two datasets"
            )
