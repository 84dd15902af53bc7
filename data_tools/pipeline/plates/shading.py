"""First pass: the mean image of each plate and channel, and the flat-field fitted to it.

A plate's sites are cut into blocks, one task each; integer sums make the mean the same whatever worker did which. Sums
go from task to task in files, so that the process that hands out the tasks stays idle and small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_tools.illumination import ILLUMINATIONS, FloatImage, IlluminationConfig, Profile, StreamingMean
from data_tools.pipeline.build.facts import read_marker, write_marker
from data_tools.pipeline.build.folder import BuildFolder, explained, record, write_array, writing
from data_tools.pipeline.build.repair import anew
from data_tools.pipeline.build.runner import Runner
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.plate import Plate, Site, SiteError, load_site, sites_digest
from data_tools.shards import random_order
from framework.data.format.schema import FileRecord, Manifest
from framework.durable import replacing
from framework.errors import DatasetError, InputError
from framework.files.names import safe_names
from framework.files.npz import load_npy
from framework.progress import OnProgress

_BLOCK_SITES, _MOST_BLOCKS = 24, 64


@dataclass(frozen=True, kw_only=True)
class MeanJob:
    """A block of sites to add up into ``files``, one per channel."""

    sites: tuple[Site, ...]
    config: IngestConfig
    shape: tuple[int, int]
    types: tuple[str, ...]
    base: Path
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class BlockSum:
    """What a block found of a channel; the sum of its pixels lies in ``file`` where ``count`` is not 0."""

    file: Path
    count: int
    is_float: bool

    def mean(self) -> StreamingMean:
        """Return it as it was."""
        if not self.count:
            return StreamingMean(total=None, count=0, is_float=self.is_float)
        total = load_npy(self.file, what="a sum of images", then="run the same command again", mapped=True)
        return StreamingMean(total=total, count=self.count, is_float=self.is_float)


@dataclass(frozen=True, kw_only=True)
class FitJob:
    """What a flat-field is made of, sums over all blocks or a profile of the export, and its ``file``."""

    sums: tuple[BlockSum, ...]
    plate: str
    channel: str
    options: IlluminationConfig
    file: Path
    root: Path
    profile: Profile | None = None
    shape: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True)
class FlatfieldFacts:
    """What the marker of a plate's flat-fields says.

    Attributes:
        inputs: digest of all they were made of.
        files: one record per channel that is read.
    """

    inputs: str
    files: tuple[FileRecord, ...]


def add_up(job: MeanJob) -> list[BlockSum]:
    """Write the sum of each channel over the usable sites of a block.

    Raises:
        SiteError: a site cannot be used, and ``on_error`` is ``raise``.
        DatasetError: writing failed.
    """
    means = [StreamingMean() for _ in job.config.read_channels]
    for site in job.sites:
        _add_site(means, site, job)
    for mean, file in zip(means, job.files, strict=True):
        if mean.total is not None:
            # Not synced, since the next attempt makes them anew: gone mostly before they come to the disk.
            with explained(file.parent), file.open("wb") as stream:
                write_array(stream, mean.total)
    return [
        BlockSum(file=file, count=mean.count, is_float=mean.is_float)
        for mean, file in zip(means, job.files, strict=True)
    ]


def _add_site(means: list[StreamingMean], site: Site, job: MeanJob) -> None:
    try:
        images = load_site(
            site,
            shape=job.shape,
            types=job.types,
            dtype=job.config.tiles.dtype,
            checks=job.config.checks,
            base=job.base,
        )
    except SiteError:
        if job.config.on_error == "raise":
            raise
        return  # the second pass meets it again and records it
    for mean, image in zip(means, images, strict=True):
        mean.add(image)


@dataclass(frozen=True, kw_only=True)
class ImageKind:
    """What the images of a plate have in common.

    Attributes:
        shape: (H, W).
        types: types of the pixels, one per channel that is read.
    """

    shape: tuple[int, int]
    types: tuple[str, ...]


def image_kind(plate: Plate, config: IngestConfig, base: Path) -> ImageKind:
    """Return what the plate's images have in common: the kind of its first usable site.

    Raises:
        SiteError: the first site cannot be used, and ``on_error`` is ``raise``.
        InputError: no site can be used.
    """
    for _, site in plate.sites():
        try:
            images = load_site(site, shape=None, dtype=config.tiles.dtype, checks=config.checks, base=base)
        except SiteError:
            if config.on_error == "raise":
                raise
            continue
        height, width = images[0].shape
        if min(height, width) < config.tiles.size_px:
            raise InputError(
                f"plate '{plate.name}': images of {height} x {width} px hold no tile of {config.tiles.size_px} px; "
                "lower tiles.size_px"
            )
        return ImageKind(shape=(height, width), types=tuple(image.dtype.name for image in images))
    raise InputError(f"plate '{plate.name}': no usable site; see the problems listed with --dry-run")


def fit_plates(
    plates: Sequence[Plate],
    kinds: Sequence[ImageKind],
    config: IngestConfig,
    build: BuildFolder,
    runner: Runner,
    report: OnProgress,
) -> list[list[FileRecord]]:
    """Write the flat-fields of all plates; none where correction is off or no site is read. Raises as ``fit_plate``."""
    if not config.illumination.corrects:
        return [[] for _ in plates]
    total = sum(len(mean_sites(plate, config)) for plate in plates)
    done = 0

    def advance(sites: int) -> None:
        nonlocal done
        done += sites
        report("flat-fields", done, total)

    report("flat-fields", 0, total)
    return [
        fit_plate(plate, config, build, runner, kind, advance) if plate.sites() else []
        for plate, kind in zip(plates, kinds, strict=True)
    ]


def fit_plate(
    plate: Plate,
    config: IngestConfig,
    build: BuildFolder,
    runner: Runner,
    kind: ImageKind,
    progress: Callable[[int], None],
) -> list[FileRecord]:
    """Write the flat-fields of a plate to ``qc/``, or recognise those an earlier attempt wrote.

    Args:
        plate: the plate.
        config: config of the ingest.
        build: the folder.
        runner: where blocks are added up.
        kind: kind of the images.
        progress: called with the number of sites that are done.

    Returns:
        One file per channel that is read, in their order.

    Raises:
        SiteError, InputError: as ``add_up``; or no flat-field can be fitted.
    """
    chosen = mean_sites(plate, config)
    marker = build.parts / f"flatfield-{plate.key}.json"
    told = "".join(f" {profile.state()}" for profile in plate.profiles)
    inputs = hashlib.sha256(f"{kind.shape} {sites_digest(chosen)}{told}".encode()).hexdigest()
    files = [build.root / flatfield_name(plate, channel, config) for channel in config.read_channels]
    known = read_marker(marker, FlatfieldFacts, inputs, files)
    if known is not None:
        progress(len(chosen))
        return list(known.files)
    jobs = [] if plate.profiles else _mean_jobs(plate, config, build, kind, chosen)
    blocks = _added_up(jobs, runner, progress)
    if plate.profiles:
        progress(len(chosen))
    profiles = plate.profiles or (None,) * len(files)
    of_channels = zip(*blocks, strict=True) if blocks else ((),) * len(files)
    fits = [
        FitJob(
            sums=sums,
            plate=plate.name,
            channel=channel,
            options=config.illumination,
            file=file,
            root=build.root,
            profile=profile,
            shape=kind.shape,
        )
        for sums, channel, file, profile in zip(of_channels, config.read_channels, files, profiles, strict=True)
    ]
    records = list(runner.each(fit_channel, fits))
    write_marker(marker, FlatfieldFacts(inputs=inputs, files=tuple(records)), files)
    with explained(build.parts):
        for job in jobs:
            for file in job.files:
                file.unlink(missing_ok=True)
    return records


def _added_up(jobs: Sequence[MeanJob], runner: Runner, progress: Callable[[int], None]) -> list[list[BlockSum]]:
    """Return the sums of each job; ``progress`` is called with the number of its sites."""
    blocks = []
    for job, sums in zip(jobs, runner.each(add_up, jobs), strict=True):
        blocks.append(sums)
        progress(len(job.sites))
    return blocks


def _mean_jobs(
    plate: Plate, config: IngestConfig, build: BuildFolder, kind: ImageKind, sites: list[Site]
) -> list[MeanJob]:
    step = max(_BLOCK_SITES, -(-len(sites) // _MOST_BLOCKS))
    return [
        MeanJob(
            sites=tuple(sites[start : start + step]),
            config=config,
            shape=kind.shape,
            types=kind.types,
            base=build.base,
            files=tuple(
                build.parts / f"sums-{plate.key}-{number}-{channel}.npy" for channel in range(len(config.read_channels))
            ),
        )
        for number, start in enumerate(range(0, len(sites), step))
    ]


def flatfield_name(plate: Plate, channel: str, config: IngestConfig) -> str:
    """Return the file of a flat-field, relative to the dataset."""
    return f"qc/flatfield_{plate.key}_{safe_names(config.read_channels)[channel]}.npy"


def mean_sites(plate: Plate, config: IngestConfig) -> list[Site]:
    """Return the sites the mean is taken over: all, or ``max_images`` of them drawn by seed, in order."""
    sites = [site for _, site in plate.sites()]
    limit = config.illumination.max_images
    if limit is None or limit >= len(sites):
        return sites
    return [sites[index] for index in sorted(random_order(len(sites), config.seed, "mean", plate.name)[:limit])]


def stored_flatfields(plate: Plate, config: IngestConfig, manifest: Manifest, root: Path) -> list[FileRecord]:
    """Return the records of a plate's flat-fields in the order of the channels that are read.

    Raises:
        DatasetError: one of them is damaged, so no shard can be made as it was.
    """
    if not config.illumination.corrects or not plate.sites():
        return []
    recorded = {item.name: item for item in manifest.files}
    found = []
    for channel in config.read_channels:
        name = flatfield_name(plate, channel, config)
        if name not in recorded or not (root / name).is_file() or record(root / name, root) != recorded[name]:
            raise DatasetError(f"{root / name}: damaged, so no shard can be made as it was; {anew(root)}")
        found.append(recorded[name])
    return found


def read_flatfields(root: Path, files: Sequence[FileRecord]) -> list[FloatImage] | None:
    """Return the flat-fields of a plate, float32 (H, W) per channel, mapped: every shard's task reads them.

    Args:
        root: dataset folder.
        files: their records; none where images are not corrected.
    """
    if not files:
        return None
    again = "remove it and run the same command again"
    return [load_npy(root / item.name, what="a flat-field (.npy)", then=again, mapped=True) for item in files]


def fit_channel(job: FitJob) -> FileRecord:
    """Fit the flat-field of a channel, write it, and return its record.

    Raises:
        InputError: none can be fitted.
        DatasetError: writing failed.
    """
    if job.profile is not None:
        field = _fitted(job.profile.image(job.shape), job)
    else:
        mean = StreamingMean()
        for part in job.sums:
            mean.merge(part.mean())
        if mean.count == 0:
            raise InputError(
                f"plate '{job.plate}': no usable site for the flat-field; see the problems listed with --dry-run"
            )
        field = _fitted(mean.mean(), job)
    with writing(job.file.parent), replacing(job.file) as stream:
        write_array(stream, field)
    return record(job.file, job.root)


def _fitted(mean: FloatImage, job: FitJob) -> FloatImage:
    try:
        return ILLUMINATIONS.get(job.options.method).build(mean, job.options, job.channel)
    except InputError as error:
        raise InputError(f"plate '{job.plate}': {error}") from None
