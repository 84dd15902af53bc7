from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, stored_tiles
from pydantic import ValidationError

from framework.data.augmentations import SymmetriesConfig
from framework.data.loading.transform import (
    Views,
    augment,
    augment_key,
    from_signed,
    need_views,
    scale,
    views,
)
from framework.data.scales import ScaleProfile, unit_scales
from framework.data.store import TileStore
from framework.errors import ConfigError, RunError

NAMES: tuple[str, ...] = (
    "per_tile_standardise",
    "per_tile_log1p",
    "per_tile_minmax",
    "log1p_standardise",
    "plate_standardise",
    "unit_range",
    "imagenet",
    "none",
)


def random_tiles(n: int = 6, dtype: str = "uint16") -> np.ndarray:
    top = 60_000 if dtype == "uint16" else 250
    return np.random.default_rng(0).integers(0, top, (n, 2, 5, 5)).astype(dtype)


def profile(name: str) -> ScaleProfile:
    facts: dict[str, tuple[float, ...]] = {}
    if name in ("log1p_standardise", "plate_standardise"):
        facts = {"mean": (3.0, 5.0), "sd": (2.0, 0.5)}
    elif name == "unit_range":
        facts = {"low": (100.0, 0.0), "high": (5_000.0, 1.0)}
    elif name == "imagenet":
        facts = {"mean": (0.5, 0.25), "sd": (0.5, 0.2), "low": (100.0, 0.0), "high": (5_000.0, 1.0)}
    return ScaleProfile(name=name, channels=("A", "B"), **facts)


def expected(x: np.ndarray, name: str) -> np.ndarray:
    """The definitions, in float64 NumPy."""
    x = x.astype(np.float64)
    mean, sd = np.asarray([3.0, 5.0])[:, None, None], np.asarray([2.0, 0.5])[:, None, None]
    low, high = np.asarray([100.0, 0.0])[:, None, None], np.asarray([5_000.0, 1.0])[:, None, None]
    if "log1p" in name:
        x = np.log1p(x)
    if name == "per_tile_minmax":
        low, high = x.min((-2, -1), keepdims=True), x.max((-2, -1), keepdims=True)
        return (x - low) / (high - low)
    if name.startswith("per_tile"):
        return (x - x.mean((-2, -1), keepdims=True)) / (x.std((-2, -1), keepdims=True) + 1e-8)
    if name == "unit_range":
        return np.clip((x - low) / (high - low), 0, 1)
    if name == "imagenet":
        unit = np.clip((x - low) / (high - low), 0, 1)
        return (unit - np.asarray([0.5, 0.25])[:, None, None]) / np.asarray([0.5, 0.2])[:, None, None]
    return x if name == "none" else (x - mean) / sd


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_scaling_follows_its_definition_and_leaves_the_stored_tiles(name: str, dtype: str) -> None:
    stored = random_tiles(dtype=dtype)
    tiles = torch.from_numpy(stored.copy())
    scaled = scale(tiles, profile(name))
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), expected(stored, name), rtol=2e-5, atol=2e-5)
    assert np.array_equal(tiles.numpy(), stored)
    assert scaled.data_ptr() != tiles.data_ptr()


@pytest.mark.parametrize("name", NAMES)
def test_a_tile_does_not_depend_on_its_batch(name: str) -> None:
    tiles = torch.from_numpy(random_tiles(7))
    alone = torch.cat([scale(tile[None], profile(name)) for tile in tiles])
    assert torch.equal(scale(tiles, profile(name)), alone)


def test_a_black_tile_becomes_zero() -> None:
    assert torch.equal(
        scale(torch.zeros(1, 2, 3, 3, dtype=torch.uint8), profile("per_tile_standardise")).abs().max(),
        torch.tensor(0.0),
    )


def test_every_uint16_survives_the_way_through_int16() -> None:
    values = torch.arange(65536, dtype=torch.int32)
    signed = values.to(torch.uint16).view(torch.int16)
    assert torch.equal(from_signed(signed), values.float())


def test_fitting_reads_the_manifest_or_a_sample(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, channels=("A", "B"))
    store, pixels = TileStore(dataset, ("B",)), stored_tiles(dataset)[:, 1:].astype(np.float64)
    ids = np.arange(len(store))
    plate = ScaleProfile.fit("plate_standardise", store, ids)
    np.testing.assert_allclose((plate.mean, plate.sd), ([pixels.mean()], [pixels.std()]))
    unit = ScaleProfile.fit("unit_range", store, ids)
    np.testing.assert_allclose((unit.low, unit.high), np.percentile(pixels, [0.1, 99.9])[:, None])
    some = ids[::3]
    logs = ScaleProfile.fit("log1p_standardise", store, some)
    values = np.log1p(pixels[some])
    np.testing.assert_allclose((logs.mean, logs.sd), ([values.mean()], [values.std()]), rtol=1e-9)
    assert ScaleProfile.fit("none", store, ids) == ScaleProfile(name="none", channels=("B",))
    with pytest.raises(RunError, match="no tiles to measure"):
        ScaleProfile.fit("log1p_standardise", store, ids[:0])


def test_a_large_sample_is_measured_in_blocks(tmp_path: Path) -> None:
    """More tiles than a block and than the sample: the merged moments are those of the 2,000 tiles drawn."""
    dataset = make_dataset(tmp_path, bags=2, tiles_per_bag=1200, channels=("A", "B"), size=2)
    store, pixels = TileStore(dataset), np.log1p(stored_tiles(dataset).astype(np.float64))
    fitted = ScaleProfile.fit("log1p_standardise", store, np.arange(len(store)))
    assert fitted == ScaleProfile.fit("log1p_standardise", store, np.arange(len(store)))
    assert fitted != ScaleProfile.fit("log1p_standardise", store, np.arange(len(store)), seed=1)
    # 2,000 of 2,400 drawn without replacement: within a hundredth of the whole.
    np.testing.assert_allclose(fitted.mean, pixels.mean((0, 2, 3)), rtol=0.01)
    np.testing.assert_allclose(fitted.sd, pixels.std((0, 2, 3)), rtol=0.01)
    half = np.arange(0, 1000)
    exact = ScaleProfile.fit("log1p_standardise", store, half)
    np.testing.assert_allclose(exact.sd, pixels[half].std((0, 2, 3)), rtol=1e-9)


def test_a_constant_channel_does_not_divide_by_zero(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, bags=1, tiles_per_bag=1, size=1)
    for name in NAMES:
        fitted = ScaleProfile.fit(name, TileStore(dataset), np.arange(1))
        assert torch.isfinite(scale(torch.from_numpy(stored_tiles(dataset)), fitted)).all()


def test_profiles_survive_their_file_and_refuse_contradictions() -> None:
    for name in NAMES:
        assert ScaleProfile.from_plain(profile(name).plain()) == profile(name)
    for name, facts, message in (
        ("plate_standardise", {"mean": (1.0,)}, r"expected 2 value\(s\) of mean, found 1"),
        ("none", {"low": (1.0, 2.0)}, r"expected 0 value\(s\) of low"),
        ("unit_range", {"low": (1.0, 2.0), "high": (1.0, 3.0)}, "every high > low"),
        ("plate_standardise", {"mean": (1.0, 1.0), "sd": (0.0, 1.0)}, "every sd > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            ScaleProfile(name=name, channels=("A", "B"), **facts)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected 2 channels, found tiles with 3"):
        scale(torch.zeros(1, 3, 2, 2), profile("none"))


def flips(tile: np.ndarray) -> list[np.ndarray]:
    return [tile, tile[:, ::-1], tile[:, :, ::-1], tile[:, ::-1, ::-1]]


def turns(tile: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(tile, k, (1, 2)) for k in range(4)]


def square(tile: np.ndarray) -> list[np.ndarray]:
    return [*turns(tile), *turns(tile[:, ::-1])]


@pytest.mark.parametrize(
    ("config", "symmetries"),
    [
        (SymmetriesConfig(flip=True), flips),
        (SymmetriesConfig(rotate90=True), turns),
        (SymmetriesConfig(flip=True, rotate90=True), square),
    ],
)
def test_each_symmetry_is_drawn_equally_often(
    config: SymmetriesConfig, symmetries: Callable[[np.ndarray], list[np.ndarray]]
) -> None:
    """2,000 copies of one tile; a binomial stays within 5 standard deviations."""
    tile = random_tiles(1)
    copies = torch.from_numpy(tile.repeat(2000, axis=0))
    turned = augment(copies, np.arange(2000), augment_key(0, 3), (config,))
    assert turned.dtype == torch.uint16
    options = np.stack(symmetries(tile[0]))
    counts = (turned.numpy()[:, None] == options).all((2, 3, 4)).sum(0)
    assert counts.sum() == 2000
    share = 1 / len(options)
    assert np.abs(counts - 2000 * share).max() < 5 * (2000 * share * (1 - share)) ** 0.5


def test_symmetries_follow_position_and_key_alone() -> None:
    tiles, both = torch.from_numpy(random_tiles(12)), SymmetriesConfig(flip=True, rotate90=True)
    whole = augment(tiles, np.arange(12), 7, (both,))
    parts = [augment(tiles[i : i + 4], np.arange(i, i + 4), 7, (both,)) for i in (0, 4, 8)]
    assert torch.equal(torch.cat(parts).view(torch.int16), whole.view(torch.int16))
    assert not torch.equal(augment(tiles, np.arange(12), 8, (both,)).view(torch.int16), whole.view(torch.int16))
    assert augment_key(0, 1) != augment_key(1, 0)


def test_nothing_to_do_is_free_and_turns_need_squares() -> None:
    tiles = torch.zeros(2, 1, 4, 5)
    assert augment(tiles, np.arange(2), 0, (SymmetriesConfig(),)) is tiles
    assert augment(tiles, np.arange(2), 0, (SymmetriesConfig(flip=True),)).shape == tiles.shape
    with pytest.raises(RunError, match="needs square tiles, these have 4 x 5 px"):
        augment(tiles, np.arange(2), 0, (SymmetriesConfig(rotate90=True),))


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_cuda_gives_the_same_pixels(name: str) -> None:
    tiles, both = torch.from_numpy(random_tiles(12)), SymmetriesConfig(flip=True, rotate90=True)
    on_cpu = scale(augment(tiles, np.arange(12), 7, (both,)), profile(name))
    on_gpu = scale(augment(tiles.cuda(), np.arange(12), 7, (both,)), profile(name))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-5, atol=1e-5)


def test_the_views_of_image2omics_are_those_of_its_code() -> None:
    tile = np.arange(9).reshape(1, 3, 3)
    expected = [tile, tile[:, ::-1], tile[:, :, ::-1], tile.transpose(0, 2, 1)]
    found = [view.numpy() for view in views(torch.from_numpy(tile), "image2omics")]
    assert len(found) == 4
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_four_views_are_the_mirrors_and_the_half_turn() -> None:
    tile = np.arange(6).reshape(1, 2, 3)
    found = [view.numpy() for view in views(torch.from_numpy(tile), 4)]
    for mine, theirs in zip(found, [tile, tile[:, ::-1], tile[:, :, ::-1], tile[:, ::-1, ::-1]], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("given", "expected"), [(1, 1), ("8", 8), ("image2omics", "image2omics")])
def test_views_are_named_by_number_or_text(given: int | str, expected: int | str) -> None:
    assert need_views(given) == expected


def test_unknown_views_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"expected one of: 1, 4, 8, image2omics, found image2omic.*'image2omics'"):
        need_views("image2omic")


@pytest.mark.parametrize("count", [1, 4, 8])
def test_views_are_the_symmetries_of_the_square(count: int) -> None:
    tile = np.arange(9).reshape(1, 3, 3)
    seen = {tuple(view.numpy().ravel()) for view in views(torch.from_numpy(tile), count)}
    mirrored = [tile, tile[..., ::-1]]
    every = {tuple(np.rot90(side, turn, axes=(1, 2)).ravel()) for side in mirrored for turn in range(4)}
    assert len(seen) == count
    assert seen <= every
    assert tuple(tile.ravel()) in seen


@pytest.mark.parametrize("which", [8, "image2omics"])
def test_views_that_transpose_need_square_tiles(which: Views) -> None:
    with pytest.raises(RunError, match=f"views {which} need square tiles, these have 4 x 6 px; take 4 views"):
        next(views(torch.zeros(1, 1, 4, 6), which))
    assert sum(1 for _ in views(torch.zeros(1, 1, 4, 6), 4)) == 4


def test_minmax_reaches_0_and_1_exactly_and_leaves_flat_tiles_dark() -> None:
    tiles = torch.from_numpy(random_tiles(500))
    tiles[3, 1] = 77
    scaled = scale(tiles, profile("per_tile_minmax"))
    low, high = scaled.amin(dim=(-2, -1)), scaled.amax(dim=(-2, -1))
    assert (low == 0).all()
    high[3, 1] += 1
    assert (high == 1).all()
    assert torch.equal(scaled[3, 1], torch.zeros(5, 5))


@pytest.mark.parametrize("name", unit_scales())
def test_a_floor_darkens_its_channel_and_stretches_the_rest(name: str) -> None:
    tiles = torch.from_numpy(random_tiles())
    plain = scale(tiles, profile(name)).numpy()
    with_floor = ScaleProfile.from_plain({**profile(name).plain(), "floor": [0.25, 0.0]})
    found = scale(tiles, with_floor).numpy()
    assert np.array_equal(found[:, 1], plain[:, 1])
    np.testing.assert_allclose(found[:, 0], np.clip((plain[:, 0] - 0.25) / 0.75, 0, 1), rtol=1e-6, atol=1e-6)
    assert (found[:, 0][plain[:, 0] < 0.25] == 0).all()


def test_a_floor_is_fitted_by_channel_name(tmp_path: Path) -> None:
    store = TileStore(make_dataset(tmp_path / "data", bags=2))
    ids = np.arange(len(store))
    assert ScaleProfile.fit("per_tile_minmax", store, ids, floor={"B": 0.05}).floor == (0.0, 0.05)
    assert ScaleProfile.fit("per_tile_minmax", store, ids).floor == ()
    assert ScaleProfile.fit("unit_range", store, ids, floor={"A": 0.1}).floor == (0.1, 0.0)
    with pytest.raises(RunError, match=r"data\.floor: channel 'C' is not among those of the run: A, B"):
        ScaleProfile.fit("per_tile_minmax", store, ids, floor={"C": 0.1})


def test_a_floor_needs_pixels_in_0_to_1() -> None:
    with pytest.raises(ValidationError, match=r"does not give values from 0 to 1, so it cannot have a floor"):
        ScaleProfile(name="none", channels=("A",), floor=(0.1,))
    with pytest.raises(ValidationError, match=r"expected a floor in \[0, 1\) for each of 1 channels"):
        ScaleProfile(name="per_tile_minmax", channels=("A",), floor=(1.0,))
    with pytest.raises(ValidationError, match=r"expected a floor in \[0, 1\) for each of 2 channels"):
        ScaleProfile(name="per_tile_minmax", channels=("A", "B"), floor=(0.1,))
