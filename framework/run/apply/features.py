"""``features``: measured features of every tile of a dataset, as a baseline for learned features; written as AnnData.

Tiles are read block by block, in tile order. So memory does not grow with their number, and equal datasets give equal
files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from framework.data import split
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE
from framework.data.store import TileStore, dataset_digest
from framework.distributed import device_here
from framework.errors import ConfigError
from framework.features.classic import SCALES_PX, classic, classic_names, crop_range, intensity, intensity_names
from framework.features.regions import region_names, regions
from framework.files.outputs import check_output_file
from framework.models.imagenet import ImageNetTrunk
from framework.progress import OnProgress
from framework.run.apply.results import FeaturesSummary
from framework.run.apply.tables import StreamedTable, targets_of, tile_rows
from framework.tracking import versions

Kind = Literal["intensity", "classic", "regions", "transfer"]
KINDS = ("intensity", "classic", "regions", "transfer")
SCALES = ("none", "per_tile_minmax")
TILES_PER_BLOCK = 256

Describe = Callable[[npt.NDArray[np.float64]], npt.NDArray[Any]]
"""(n, C, H, W), scaled -> (n, d)."""


def features(
    data: Path | str,
    out: Path | str,
    *,
    kind: str = "intensity",
    protein: Sequence[str] = (),
    structure: Sequence[str] = (),
    scale: str = "none",
    scales_px: Sequence[int] = SCALES_PX,
    outline: str | None = None,
    weights: Path | str | None = None,
    layer: str = "layer3",
    parts: Path | str | None = None,
    progress: OnProgress | None = None,
    device: str = "cpu",
) -> FeaturesSummary:
    """Measure baseline features of every tile.

    Args:
        data: dataset folder.
        out: .h5ad to write: float32 (T, d), one row per tile in tile order, the columns of its bag in ``obs``.
        kind: ``intensity``: mean, sd and the 10, 50 and 90 % quantiles of each channel; ``classic``: intensity,
            correlation and Haralick features of the protein channels (Lu 2019); ``regions``: shape of the object in the
            middle of the tile, intensity of each channel in and around it, and Haralick features, see
            ``framework.features.regions``; ``transfer``: a layer of a ResNet-18 trained on ImageNet, of each protein
            channel shown as a grey image, the largest value over the crop.
        protein: channels to describe; none: all, which ``classic`` allows in a dataset of one channel only.
        structure: channels the protein is correlated with (``classic``); none: all others.
        scale: ``none``: stored units; ``per_tile_minmax``: each channel of each crop to 0..1 first.
        scales_px: distances of the Haralick features, of ``classic`` and ``regions``.
        outline: channel that shows the object (``regions``), such as the nucleus; None: the channel nuclei were found
            in, where the dataset says so, or its only one.
        weights: weights of the network for ``transfer``, safetensors or a torch state dict, with torchvision's names.
        layer: for ``transfer``: ``layer1`` .. ``layer4``.
        parts: split.csv of a run, for the column ``part``; without it every tile is ``unseen``.
        progress: called with (stage, done, total).
        device: ``auto``, ``cpu`` or ``cuda``, of the network for ``transfer``.

    Returns:
        What was written.

    Raises:
        ConfigError: an option that does not exist or does not fit the others.
        WellstreamError: the dataset, the split or the weights cannot be used.
    """
    _check_names(kind, scale, outline)
    check_output_file(out, ".h5ad", targets_of(data))
    dataset = _with_tiles(data)
    proteins, structures = _channels(dataset, kind, tuple(protein), tuple(structure))
    structures = (_outline(dataset, outline),) if kind == "regions" else structures
    if kind == "transfer":
        describe, names = _transfer(proteins, weights, layer, device_here(device))
    else:
        describe, names = _measuring(dataset, kind, proteins, structures, tuple(scales_px))
    facts = _source(dataset) | {"features": kind, "protein": list(proteins), "structure": list(structures)}
    facts |= {"scale": scale} | ({"weights": Path(str(weights)).name, "layer": layer} if kind == "transfer" else {})
    obs = tile_rows(dataset, _parts(dataset, parts), np.arange(len(dataset.index)))
    with StreamedTable(Path(out), obs, len(names), facts, names) as table:
        _fill(table, TileStore(dataset, (*proteins, *structures)), describe, scale, progress)
    return FeaturesSummary(file=Path(out), rows=len(obs), columns=len(names), kind=kind, scale=scale)


def _parts(dataset: Dataset, file: Path | str | None) -> split.Parts:
    return np.full(len(dataset.bags), "unseen") if file is None else split.read(file, dataset.bags)


def _source(dataset: Dataset) -> dict[str, Any]:
    return {
        "kind": "features",
        "dataset": dataset.manifest.name,
        "dataset_digest": dataset_digest(dataset),
        "versions": versions(),
    }


def _check_names(kind: str, scale: str, outline: str | None) -> None:
    for option, value, known in (("kind", kind, KINDS), ("scale", scale, SCALES)):
        if value not in known:
            raise ConfigError(f"{option}: expected one of: {', '.join(known)}, found '{value}'")
    if outline is not None and kind != "regions":
        raise ConfigError(f"outline: only kind 'regions' uses an outline, found kind '{kind}'; leave it out")


def _with_tiles(data: Path | str) -> Dataset:
    dataset = Dataset.open(data)
    if not len(dataset.index):
        raise ConfigError(f"{dataset.root}: no tiles to measure")
    return dataset


def _fill(table: StreamedTable, store: TileStore, describe: Describe, scale: str, progress: OnProgress | None) -> None:
    buffer = np.empty((min(TILES_PER_BLOCK, len(store)), *store.sample_shape), dtype=store.dtype)
    for start in range(0, len(store), TILES_PER_BLOCK):
        ids = np.arange(start, min(start + TILES_PER_BLOCK, len(store)), dtype=np.int64)
        store.gather(ids, buffer[: len(ids)])
        tiles = buffer[: len(ids)]
        _check_finite(store.dataset, tiles, start)
        scaled = crop_range(tiles) if scale == "per_tile_minmax" else tiles.astype(np.float64)
        table.append(np.asarray(describe(scaled), dtype=np.float32))
        if progress:
            progress("features", start + len(ids), len(store))


def _check_finite(dataset: Dataset, tiles: npt.NDArray[Any], start: int) -> None:
    bad = ~np.isfinite(tiles).all(axis=(1, 2, 3))
    if bad.any():
        tile = start + int(bad.argmax())
        bag = dataset.bags.iloc[int(dataset.index.bag[tile])]
        names = (SOURCE, BAG, *(name for name in dataset.bags.columns if name.startswith("Metadata_")))
        shown = ", ".join(f"{name} {bag[name]}" for name in names)
        raise ConfigError(f"{dataset.root}: tile {tile} ({shown}) has pixels that are NaN or infinite; leave that "
                          "image out and ingest again")  # fmt: skip


def _channels(
    dataset: Dataset, kind: str, protein: tuple[str, ...], structure: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    stored = dataset.manifest.tile.channels
    dataset.channel_indices((*protein, *structure))
    if structure and kind != "classic":
        raise ConfigError(
            f"structure channels are for kind 'classic'; kind '{kind}' uses protein channels only, so leave "
            "--structure out"
        )
    for option, names in (("protein", protein), ("structure", structure)):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ConfigError(f"{option}: the channel '{twice[0]}' appears twice; name each once")
    both = [name for name in protein if name in structure]
    if both:
        raise ConfigError(f"channel '{both[0]}' is given as protein and as structure; name it once")
    if not protein and kind == "classic" and len(stored) > 1:
        raise ConfigError(f"which channel shows the protein? Add --protein, one of: {', '.join(stored)}")
    protein = protein or stored
    others = tuple(name for name in stored if name not in protein)
    return protein, (structure or others) if kind == "classic" else ()


def _measuring(
    dataset: Dataset, kind: str, protein: tuple[str, ...], structure: tuple[str, ...], scales_px: tuple[int, ...]
) -> tuple[Describe, list[str]]:
    """Return how tiles are described without a network, and the names of the features."""
    if kind == "regions":
        return _regions(dataset, protein, structure[0], scales_px)
    if kind == "classic":
        return _classic(dataset, protein, structure, scales_px)
    return intensity, intensity_names(protein)


def _classic(
    dataset: Dataset, protein: tuple[str, ...], structure: tuple[str, ...], scales_px: tuple[int, ...]
) -> tuple[Describe, list[str]]:
    _check_distances(dataset, scales_px)
    n = len(protein)

    def describe(tiles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return classic(tiles[:, :n], tiles[:, n:], scales_px=scales_px)

    return describe, classic_names(protein, structure, scales_px)


def _check_distances(dataset: Dataset, scales_px: tuple[int, ...]) -> None:
    side = min(dataset.manifest.tile.height, dataset.manifest.tile.width)
    if not scales_px or not all(1 <= scale < side for scale in scales_px):
        raise ConfigError(
            f"scales_px: expected distances from 1 to {side - 1} px for tiles of {side} px, found "
            f"{', '.join(map(str, scales_px)) or 'none'}"
        )


def _outline(dataset: Dataset, named: str | None) -> str:
    """Return the channel whose objects are outlined."""
    stored = dataset.manifest.tile.channels
    if named is not None:
        dataset.channel_indices((named,))
        return named
    found = dataset.manifest.source.get("nuclei")
    channel = found.get("channel") if isinstance(found, dict) else None
    if channel in stored:
        return str(channel)
    if len(stored) > 1:
        raise ConfigError(f"which channel shows the object, such as the nucleus? Add --outline, one of: "
                          f"{', '.join(stored)}")  # fmt: skip
    return stored[0]


def _regions(
    dataset: Dataset, protein: tuple[str, ...], outline: str, scales_px: tuple[int, ...]
) -> tuple[Describe, list[str]]:
    _check_distances(dataset, scales_px)
    n = len(protein)

    def describe(tiles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return regions(tiles[:, n], tiles[:, :n], scales_px=scales_px)

    return describe, region_names(outline, protein, scales_px)


def _transfer(
    protein: tuple[str, ...], weights: Path | str | None, layer: str, device: str
) -> tuple[Describe, list[str]]:
    if weights is None:
        raise ConfigError(
            "kind 'transfer' needs --weights: a ResNet-18 trained on ImageNet, as safetensors or a torch state dict "
            "with torchvision's parameter names; none comes with Wellstream"
        )
    trunk = ImageNetTrunk.load(Path(weights), layer, device)

    def describe(tiles: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return np.concatenate([trunk.describe(tiles[:, channel]) for channel in range(tiles.shape[1])], axis=1)

    return describe, [f"{channel}_{layer}_{i:03d}" for channel in protein for i in range(trunk.width)]
