"""Saliency of objectives that predict bags: the value of each tile of a bag, and its important pixels (SmoothGrad).

If a bag is the mean of its tiles and the head is linear, as in the Image2Omics paper, the prediction of a bag *is* the
mean of the predictions of its single tiles, so the contribution of a tile is exact. Otherwise the value of a tile is
the jackknife pseudo-value ``N f - (N - 1) f_without``: f is the prediction of the whole bag of N tiles, f_without that
of the bag without the tile. For a mean this is the tile's own prediction again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from framework.data.batch import Batch
from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION
from framework.data.loading.transform import scale
from framework.data.permutation import I64, hash_u64, permute
from framework.data.store import dataset_digest
from framework.durable import write_arrays
from framework.errors import ConfigError, RunError, did_you_mean
from framework.files.csv_writing import write_csv
from framework.models import smooth_gradients
from framework.objectives import Embeds, Output, Predicts
from framework.objectives.predicting_targets import PredictsTargets
from framework.progress import OnProgress
from framework.run.apply.extreme_tiles import extreme_arrays, sentences
from framework.run.apply.results import SaliencySummary
from framework.run.apply.tables import with_folder
from framework.run.train.opened import Application

_STREAM = 0x5A12
_TILES_PER_PASS = 256
_BAGS = 4
_OUTPUTS = 8
_MOST_PIXEL_TILES = 64
"""Tiles of a bag that count where an objective takes no embeddings: each question is a pass of its pixels."""
_EXACT = 1e-4
"""In standard deviations of the training part: rounding of float32."""


@dataclass(frozen=True, kw_only=True)
class BagMaps:
    """What is asked of bags.

    Attributes:
        outputs: genes (``GENE`` or ``TARGET/GENE``); none: all, where there are few.
        bags: names of bags (``WELL`` or ``PLATE/WELL``), or how many are drawn.
        tiles: per bag, of which maps are made.
        samples, noise: of SmoothGrad.
        seed: seed of what is drawn.
    """

    outputs: Sequence[str] = ()
    bags: Sequence[str] | int = _BAGS
    tiles: int = 9
    samples: int = 25
    noise: float = 0.15
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Bag:
    """One bag: all tiles that count, what they say, and the maps of some."""

    number: int
    ids: I64
    prediction: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    exact: bool
    shown: I64
    images: npt.NDArray[Any]
    maps: npt.NDArray[np.float32]


def bag_saliency(on: Application, out: Path, asked: BagMaps, progress: OnProgress | None = None) -> SaliencySummary:
    """Write SmoothGrad maps of some tiles of bags, and the value of every tile of those bags.

    The ``.npz`` holds what that of ``saliency`` holds, and ``bag`` (n,), ``source`` (n,), ``bag_name`` (n,),
    ``targets`` (M,), ``values`` (n, M); ``maps`` are in units of the target per scaled pixel. Beside it,
    ``<name>.tiles.csv`` has one row per tile and output: ``value`` (what the tile says), ``contribution`` ((value -
    train mean) / N; exact ones add up to the bag's prediction minus the train mean), ``rank`` (1 raises it most). The
    tiles that raise and lower each output most are in the ``.npz`` with their pixels, see ``extreme_arrays``.

    Raises:
        ConfigError: no such output or bag, or a number out of range.
        RunError: the part has no bags with tiles.
    """
    objective = on.run.having(Predicts)
    columns, outputs = _chosen_outputs(objective.outputs(), asked.outputs)
    if asked.tiles < 1 or asked.samples < 1 or asked.noise < 0:
        raise ConfigError(
            f"expected tiles >= 1, samples >= 1 and noise >= 0, found {asked.tiles}, {asked.samples} and {asked.noise}"
        )
    numbers = _chosen_bags(on, asked)
    sd = np.array([output.train_sd for output in outputs])
    bags = []
    for place, number in enumerate(numbers):
        bags.append(_explained(on, objective, int(number), columns, sd, asked))
        if progress:
            progress("saliency", place + 1, len(numbers))
    table = pd.concat([_rows(on, bag, outputs) for bag in bags], ignore_index=True)
    write_arrays(with_folder(out), _arrays(on, bags, outputs) | extreme_arrays(on, table, outputs))
    beside = out.with_suffix(".tiles.csv")
    write_csv(beside, table)
    gaps = [np.abs(bag.values.mean(axis=0) - bag.prediction).max() for bag in bags]
    return SaliencySummary(
        file=out,
        tiles=sum(len(bag.shown) for bag in bags),
        outputs=tuple(output.name for output in outputs),
        step=on.run.step,
        method="smoothgrad",
        bags=len(bags),
        table=beside,
        exact=all(bag.exact for bag in bags),
        gap=float(max(gaps)),
        most=tuple(sentences(table, outputs)),
    )


def _chosen_outputs(outputs: Sequence[Output], named: Sequence[str]) -> tuple[list[int], list[Output]]:
    if not named:
        if len(outputs) > _OUTPUTS:
            raise ConfigError(
                f"this run predicts {len(outputs)} outputs, and each would get a map; name some with "
                f"--outputs, such as {outputs[0].name}"
            )
        return list(range(len(outputs))), list(outputs)
    columns: list[int] = []
    for name in named:
        found = [place for place, each in enumerate(outputs) if name in (each.name, f"{each.target}/{each.name}")]
        if not found:
            raise ConfigError(f"no output is called '{name}'" + did_you_mean(name, [each.name for each in outputs]))
        columns += found
    columns = list(dict.fromkeys(columns))
    return columns, [outputs[place] for place in columns]


def _chosen_bags(on: Application, asked: BagMaps) -> I64:
    bags = on.bags()
    bags = bags[np.diff(on.dataset.index.bag_start)[bags] > 0]
    if not len(bags):
        raise RunError(f"{on.dataset.where}: no bag of part '{on.part}' has tiles")
    if isinstance(asked.bags, int):
        if asked.bags < 1:
            raise ConfigError(f"expected bags >= 1, found {asked.bags}")
        order = permute(np.arange(min(asked.bags, len(bags))), len(bags), hash_u64(asked.seed, _STREAM))
        return np.sort(bags[order])
    table = on.dataset.bags.iloc[bags]
    short, long = table[BAG].astype(str), table[SOURCE].astype(str) + "/" + table[BAG].astype(str)
    found: list[int] = []
    for name in asked.bags:
        mine = bags[((short == name) | (long == name)).to_numpy()]
        if not len(mine):
            known = did_you_mean(name, [*short, *long])
            raise ConfigError(f"no bag '{name}' with tiles in part '{on.part}' of {on.dataset.where}{known}")
        found += mine.tolist()
    return np.array(list(dict.fromkeys(found)), dtype=np.int64)


def _explained(
    on: Application, objective: Predicts, number: int, columns: list[int], sd: npt.NDArray[np.float64], asked: BagMaps
) -> _Bag:
    first, stop = on.dataset.index.bag_start[[number, number + 1]].tolist()
    key = hash_u64(asked.seed, _STREAM + 1 + number)
    ids = np.arange(first, stop, dtype=np.int64)
    if not _takes_embeddings(objective):
        ids = np.sort(ids[permute(np.arange(min(_MOST_PIXEL_TILES, len(ids))), len(ids), key)])
    seen = _seen(on, objective, ids)
    with torch.inference_mode():
        whole = _predicted(objective, seen[None])[:, columns]
        alone = torch.cat(
            [_predicted(objective, part[:, None])[:, columns] for part in torch.split(seen, _TILES_PER_PASS)]
        )
    prediction, values = whole[0].double().cpu().numpy(), alone.double().cpu().numpy()
    scaled = np.where(np.isfinite(sd) & (sd > 0), sd, 1.0)
    exact = bool((np.abs(values.mean(axis=0) - prediction) <= _EXACT * scaled).all())
    if not exact:
        values = _pseudo_values(objective, seen, columns, prediction)
    drawn = np.sort(permute(np.arange(min(asked.tiles, len(ids))), len(ids), key))
    images = on.pixels(ids[drawn])
    return _Bag(
        number=number,
        ids=ids,
        prediction=prediction,
        values=values,
        exact=exact,
        shown=drawn.astype(np.int64),
        images=images,
        maps=_maps(on, objective, images, columns, asked),
    )


def _takes_embeddings(objective: Predicts) -> bool:
    return isinstance(objective, PredictsTargets) or not type(objective.config).needs_pixels


def _seen(on: Application, objective: Predicts, ids: I64) -> torch.Tensor:
    """Return what the objective pools: (N, E) tile embeddings, or (N, C, H, W) pixels where it takes no others."""
    if not (_takes_embeddings(objective) and isinstance(objective, Embeds)):
        return _scaled(on, on.pixels(ids))
    parts = []
    for start in range(0, len(ids), _TILES_PER_PASS):
        pixels = _scaled(on, on.pixels(ids[start : start + _TILES_PER_PASS]))
        with torch.inference_mode():
            parts.append(objective.embed_tiles(pixels))
    return torch.cat(parts)


def _scaled(on: Application, images: npt.NDArray[Any]) -> torch.Tensor:
    return scale(torch.from_numpy(images).to(on.ranks.device), on.run.scale)


def _predicted(objective: Predicts, tiles: torch.Tensor) -> torch.Tensor:
    """(K, N, ...) -> (K, P), without autocast: rounding must not hide that a mean is exact."""
    rows = torch.zeros(tiles.shape[:2], dtype=torch.int64, device=tiles.device)
    weights = torch.ones(len(tiles), device=tiles.device)
    batch = Batch(tiles=tiles, bags=rows[:, 0], tile_ids=rows, weights=weights, labels={}, step=0, epoch=0)
    return objective.predict(batch)


def _pseudo_values(
    objective: Predicts, seen: torch.Tensor, columns: list[int], prediction: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return (N, M) jackknife pseudo-values; those of a bag of one tile are its prediction."""
    n = len(seen)
    if n == 1:
        return prediction[None]
    without = []
    for tile in range(n):
        rest = torch.cat([seen[:tile], seen[tile + 1 :]])
        with torch.inference_mode():
            without.append(_predicted(objective, rest[None])[0, columns].double().cpu().numpy())
    values: npt.NDArray[np.float64] = n * prediction - (n - 1) * np.stack(without)
    return values


def _maps(
    on: Application, objective: Predicts, images: npt.NDArray[Any], columns: list[int], asked: BagMaps
) -> npt.NDArray[np.float32]:
    """(n, M, C, H, W): n times the gradient of the bag of these tiles; for a mean that is of what each tile says."""
    pixels = _scaled(on, images)
    batch = partial(_predicted, objective)

    def score(tiles: torch.Tensor) -> torch.Tensor:
        return batch(tiles[None])[:, columns] * len(tiles)

    found = smooth_gradients(score, pixels, samples=asked.samples, noise=asked.noise, seed=asked.seed)
    return found.float().cpu().numpy()


def _rows(on: Application, bag: _Bag, outputs: Sequence[Output]) -> pd.DataFrame:
    """Return one row per tile and output."""
    told = on.dataset.bags.iloc[bag.number]
    where = on.dataset.tile_table(["site", "y_px", "x_px"]).iloc[bag.ids].reset_index(drop=True)
    parts = []
    for place, output in enumerate(outputs):
        value = bag.values[:, place]
        contribution = (value - output.train_mean) / len(value)
        part = pd.DataFrame(
            {key: str(told[key]) for key in (SOURCE, BAG, PERTURBATION, STIMULATION)}, index=where.index
        )
        part = part.assign(target=output.target, output=output.name, tile=bag.ids, **where)
        part = part.assign(prediction=bag.prediction[place], value=value, contribution=contribution)
        part["rank"] = part["contribution"].rank(ascending=False, method="first").astype("Int64")
        parts.append(part.sort_values("rank", kind="stable"))
    return pd.concat(parts, ignore_index=True)


def _arrays(on: Application, bags: Sequence[_Bag], outputs: Sequence[Output]) -> dict[str, npt.NDArray[Any]]:
    number = np.concatenate([np.full(len(bag.shown), bag.number) for bag in bags])
    table = on.dataset.bags.iloc[number]
    return {
        "pixel_size_um": np.array(on.dataset.manifest.pixel_size_um or np.nan),
        "tile": np.concatenate([bag.ids[bag.shown] for bag in bags]),
        "images": np.concatenate([bag.images for bag in bags]),
        "maps": np.concatenate([bag.maps for bag in bags]),
        "values": np.concatenate([bag.values[bag.shown] for bag in bags]),
        "outputs": np.array([output.name for output in outputs]),
        "targets": np.array([output.target for output in outputs]),
        "bag": number,
        "source": table[SOURCE].astype(str).to_numpy(dtype=str),
        "bag_name": table[BAG].astype(str).to_numpy(dtype=str),
        "channels": np.array(on.run.scale.channels),
        "method": np.array("smoothgrad"),
        "dataset_digest": np.array(dataset_digest(on.dataset)),
    }
