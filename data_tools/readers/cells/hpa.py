"""Fields of view in which each nucleus makes a crop, as paired cell inpainting cuts the Human Protein Atlas.

Two variants, because the paper (Lu 2019, Methods) and its public code differ. Paper: Otsu's threshold on the nucleus
channel, components above 400 px, crops of 512 px. Code: images reduced four times, Otsu's threshold of the raw channel
applied to a Gaussian blur of 5 px, holes below 300 px filled, nuclei at the border left out, components of 100 px and
more, crops of 128 px. Both: crops around the centre of mass; those that leave the image are left out. A tile of 64 px
is then made by ``tiles: {size_px: 64, fit: resize}``, its intensities by ``intensity``.

A row of the listing is one field, which shows several cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator
from skimage.filters import threshold_otsu

from data_tools.formats.stated_axes import decode_colours
from data_tools.formats.tiff_page import MOST_BYTES
from data_tools.readers.cells.base import (
    CELL,
    CELL_READERS,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    check_channels,
    metadata_name,
    tiff_problem,
)
from data_tools.readers.cells.names import CHANNEL, check_pattern, files_of_rows, join_channels, named_images
from data_tools.readers.recognition import Claim, KnowsExports, Sight
from framework.config import StrictModel
from framework.errors import InputError
from framework.files.failures import read_bytes

_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
_BORDER, _SMALL, _LARGE = "border", "small", "large"
_COLOURS = 3
_ATLAS = {"blue": "nucleus", "green": "protein", "red": "microtubules", "yellow": "reticulum"}
"""Colour in the name of a file of the Human Protein Atlas -> what is stained."""


class NucleusCropsConfig(StrictModel):
    """How fields become crops; a value that is not given is that of the variant.

    Attributes:
        downscale: factor by which images are first reduced, by averaging areas.
        sigma_px: sigma of the blur before the threshold is applied.
        fill_holes_px: holes of fewer pixels are filled.
        clear_border: leave out nuclei that touch the border.
        min_area_px: area of the smallest nucleus.
        crop_px: edge of a crop.
        min_share, max_share: area of a nucleus (or cell) as a share of the crop (Lu 2019, yeast: 0.05 to 0.95).
    """

    variant: Literal["paper", "code"] = "paper"
    """Default values of the keys below: those of the paper, or of its code."""
    downscale: int | None = Field(default=None, ge=1, le=64)
    sigma_px: float | None = Field(default=None, ge=0)
    fill_holes_px: int | None = Field(default=None, ge=0)
    clear_border: bool | None = None
    min_area_px: int | None = Field(default=None, ge=0)
    crop_px: int | None = Field(default=None, ge=4)
    min_share: float = Field(default=0, ge=0, le=1)
    max_share: float = Field(default=1, ge=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A variant with all its values."""

    downscale: int
    sigma_px: float
    fill_holes_px: int
    clear_border: bool
    min_area_px: int
    crop_px: int


_VARIANTS = {
    "paper": Recipe(downscale=1, sigma_px=0, fill_holes_px=0, clear_border=False, min_area_px=400, crop_px=512),
    "code": Recipe(downscale=4, sigma_px=5, fill_holes_px=300, clear_border=True, min_area_px=100, crop_px=128),
}


class HpaConfig(StrictModel, KnowsExports):
    """A folder of fields, read recursively; ``pattern`` must match the whole path below ``path``.

    Attributes:
        pattern: regular expression with the group ``field`` and any others to keep; with a group ``channel`` there is a
            file per channel, without it a file holds all channels.
        channel_names: what the group ``channel`` finds -> channel name.
        rgb: names of the red, green and blue plane of files that hold all channels; ``-`` for a plane without use.
        nucleus: channel that is segmented.
        crops: how.
    """

    name: Literal["hpa"] = "hpa"
    path: str = Field(description="the folder with the images")
    pattern: str = Field(description="a regular expression with the group field, and any others to keep")
    channel_names: dict[str, str] = Field(default={})
    rgb: tuple[str, str, str] | None = None
    nucleus: str = Field(description="the channel with the nuclei")
    crops: NucleusCropsConfig = NucleusCropsConfig()
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for fields with a file per colour, as the Human Protein Atlas gives them."""
        colours = "|".join(_ATLAS)
        name = re.compile(rf"(?P<field>.+)_(?P<channel>{colours})\.(?:tif|tiff|png|jpg|jpeg)")
        images = sight.ending(*_SUFFIXES)
        found = [match for match in map(name.fullmatch, images) if match]
        seen = {match["channel"] for match in found}
        if not {"blue", "green"} <= seen or 2 * len(found) < len(images):
            return ""
        named = {colour: channel for colour, channel in _ATLAS.items() if colour in seen}
        options = {"path": sight.path, "pattern": name.pattern, "channel_names": named, "nucleus": _ATLAS["blue"]}
        why = f"{len(found)} images named as 1_A1_1_blue.png: fields of the Human Protein Atlas"
        return Claim(options=options, rank="own names", why=why)

    @model_validator(mode="after")
    def _check(self) -> HpaConfig:
        check_pattern(self.pattern, ("field",), ())
        by_file = CHANNEL in re.compile(self.pattern).groupindex
        if by_file == (self.rgb is not None):
            raise ValueError("expected either a group (?P<channel>...) in 'pattern' (one file per channel) or 'rgb'")
        if by_file and not self.channel_names:
            raise ValueError("expected 'channel_names', which names what the group (?P<channel>...) finds")
        if self.nucleus not in self.all_channels:
            raise ValueError(f"'nucleus' is '{self.nucleus}', which is not one of {', '.join(self.all_channels)}")
        if len(set(self.all_channels)) < len(self.all_channels):
            raise ValueError("two channels have the same name")
        return self

    @property
    def all_channels(self) -> tuple[str, ...]:
        """The channels of the images."""
        if self.rgb is not None:
            return tuple(name for name in self.rgb if name != "-")
        return tuple(self.channel_names.values())


@CELL_READERS.register("hpa", HpaConfig)
class HpaReader(CellReader[HpaConfig]):
    """Cuts crops around the nuclei of fields of view."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the fields that have an image of every channel.

        Raises:
            InputError: no folder, no image in it, no name that matches, or an unknown channel.
        """
        config = self.config
        check_channels(channels, config.all_channels, config.path)
        images = named_images(config.path, config.pattern, suffixes=_SUFFIXES)
        cells, places, problems = join_channels(images, self._files(channels), "field")
        cells[CELL] = cells[metadata_name("field")]
        return CellListing(
            cells=cells,
            places=places,
            channels=config.all_channels,
            problems=tuple(problems),
            notes=images.notes,
            pixel_size_um=config.pixel_size_um,
            several=True,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield the crops of each field; nuclei without a crop are yielded with the reason."""
        wanted = self._files(channels)
        for row, files in files_of_rows(places, wanted):
            planes: dict[str, npt.NDArray[Any]] = {}
            problem = None
            for key, file in zip(wanted, files, strict=True):
                try:
                    planes |= self._planes(key, file)
                except Exception as error:  # image libraries raise many kinds on damaged files, all mean the same
                    problem = tiff_problem(row, file, error)
                    break
            shapes = {plane.shape for plane in planes.values()}
            if problem is None and len(shapes) > 1:
                text = f"{files[0]}: its channels differ in size; export the field again"
                problem = CellProblem(row=row, file=str(files[0]), reason="unequal_channels", detail=text)
            if problem is not None:
                yield problem
                continue
            yield from nucleus_crops(row, [planes[name] for name in channels], planes[self.config.nucleus],
                                     self.config.crops)  # fmt: skip

    def _files(self, channels: tuple[str, ...]) -> list[str]:
        """Return what the group ``channel`` must find for a field to be whole; one empty text for one file."""
        if self.config.rgb is not None:
            return [""]
        used = {*channels, self.config.nucleus}
        return [key for key, name in self.config.channel_names.items() if name in used]

    def _planes(self, key: str, file: Path) -> dict[str, npt.NDArray[Any]]:
        pixels = _decoded(file)
        if self.config.rgb is None:
            # Pictures of one channel are often stored in colour, with all of it in one plane.
            if pixels.ndim == 3 and pixels.shape[2] != _COLOURS:
                raise InputError(f"expected grey, or red, green and blue, found shape {pixels.shape}")
            plane = pixels if pixels.ndim == 2 else pixels.max(axis=2)
            return {self.config.channel_names[key]: plane}
        if pixels.ndim != 3 or pixels.shape[2] != _COLOURS:
            raise InputError(f"expected red, green and blue, found shape {pixels.shape}")
        return {name: pixels[:, :, plane] for plane, name in enumerate(self.config.rgb) if name != "-"}


def recipe_of(config: NucleusCropsConfig) -> Recipe:
    """Return the values of a variant with those the config gives in their place."""
    base = _VARIANTS[config.variant]
    names = Recipe.__dataclass_fields__
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return Recipe(**{name: given.get(name, getattr(base, name)) for name in names})


def nucleus_crops(
    row: int, images: list[npt.NDArray[Any]], nucleus: npt.NDArray[Any], config: NucleusCropsConfig
) -> Iterator[CellImage]:
    """Yield a crop of every channel around each nucleus of a field, top to bottom.

    Args:
        row: row of the listing.
        images: (H, W) a channel.
        nucleus: (H, W), the channel that is segmented.
        config: how.
    """
    recipe = recipe_of(config)
    planes, seen = [_reduced(image, recipe.downscale) for image in images], _reduced(nucleus, recipe.downscale)
    centres, areas, touches = find_components(seen, recipe)
    size = recipe.crop_px
    corners = np.floor(centres + 0.5).astype(np.int64) - size // 2
    inside: npt.NDArray[np.bool_] = np.all((corners >= 0) & (corners + size <= np.asarray(seen.shape)), axis=1)
    shares = areas / size**2
    for place, (top, left) in enumerate(corners.tolist()):
        status = "tile"
        if not inside[place] or (recipe.clear_border and touches[place]):
            status = _BORDER
        elif shares[place] < config.min_share:
            status = _SMALL
        elif shares[place] > config.max_share:
            status = _LARGE
        y, x = ((value + 0.5) * recipe.downscale - 0.5 for value in centres[place].tolist())
        pixels = [plane[top : top + size, left : left + size] for plane in planes] if status == "tile" else []
        yield CellImage(row=row, pixels=pixels, name=f"-{place}", y_px=y, x_px=x, status=status)


def find_components(
    image: npt.NDArray[Any], recipe: Recipe
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return centres of mass (n, 2) of bright components in px, their areas, and whether they touch the border.

    Components are 8-connected and numbered top to bottom; those below the smallest area are left out.
    """
    none = np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    if image.min() == image.max():
        return none
    level = float(threshold_otsu(image))  # type: ignore[no-untyped-call]
    smooth = image
    if recipe.sigma_px:
        smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), recipe.sigma_px, borderType=cv2.BORDER_REPLICATE)
    mask = (smooth > level).astype(np.uint8)
    if recipe.fill_holes_px:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < recipe.fill_holes_px
        small[0] = False  # the components of the mask itself
        mask[small[labels]] = 1
    n, labels, stats, middle = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if n == 1:
        return none
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    touches = np.isin(np.arange(n), edge)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    keep = area >= recipe.min_area_px
    keep[0] = False
    return middle[keep][:, ::-1].astype(np.float64), area[keep], touches[keep]


def _reduced(image: npt.NDArray[Any], times: int) -> npt.NDArray[Any]:
    if times == 1:
        return image
    shape = (max(1, image.shape[1] // times), max(1, image.shape[0] // times))
    small: npt.NDArray[Any] = cv2.resize(image[: shape[1] * times, : shape[0] * times], shape,
                                         interpolation=cv2.INTER_AREA)  # fmt: skip
    return small


def _decoded(file: Path) -> npt.NDArray[Any]:
    """Return the pixels of a picture, (H, W) or (H, W, S), red, green and blue first; transparency is left out."""
    if file.suffix.lower() in (".tif", ".tiff"):
        return decode_colours(file)
    data = np.frombuffer(read_bytes(file, MOST_BYTES), dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if pixels is None:
        raise InputError("not an image, or a truncated one")
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels[:, :, :3], cv2.COLOR_BGR2RGB)
