"""Figure 11 of Image2Omics: a field as it was acquired, after illumination correction, and the tiles cut from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.errors import InputError
from framework.report.canvas import bare, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.figures.images import composite
from framework.report.figures.scale import draw_scale_bar
from framework.report.omics.fields import Field, fields_of, flat_field_of, overlay, read_field, shade
from framework.report.omics.gene_maps import mosaic
from framework.report.omics.panels import WIDTH

Floats = npt.NDArray[np.float64]
_TILES = 9


class ShadingConfig(FigureConfig):
    """Options of ``shading``."""

    well: str | None = None
    """Well to show, ``WELL`` or ``PLATE/WELL``; the dataset must keep a field of it. None: the first well."""


@FIGURES.register("shading", ShadingConfig)
class Shading(FigureKind[ShadingConfig]):
    """Before and after illumination correction."""

    shows = "a field before and after illumination correction, its flat-fields, and the tiles cut from it"
    paper = "Figure 11"
    takes = ("data",)
    order = 110

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw a row per channel (acquired, corrected, flat-field), then the overlays and tiles."""
        dataset = inputs.dataset
        field = read_field(dataset, self._kept(dataset))
        channels = dataset.manifest.tile.channels
        flats = {name: flat_field_of(dataset, field, name) for name in channels}
        if all(flat is None for flat in flats.values()):
            raise InputError(
                f"{dataset.where}: has no flat-field of plate {field.plate} (qc/flatfield_*.npy), because it "
                "was ingested without illumination correction"
            )
        before = {name: _acquired(plane, flats[name]) for name, plane in field.channels.items()}
        ranges = {name: _range(before[name]) for name in channels}
        made, axes = figure(WIDTH, 1.85 * (len(channels) + 1), len(channels) + 1, 3)
        for panel in axes.ravel():
            bare(panel)
        for line, name in zip(axes, channels, strict=False):
            for panel, plane in zip(line, (before[name], field.channels[name]), strict=False):
                panel.imshow(shade(plane, ranges[name]), cmap="gray", vmin=0, vmax=1)
            line[0].set_ylabel(shortened(name, 20), fontsize=8)
            _flat(line[2], flats[name])
        ends = [ranges[name] for name in channels]
        axes[-1, 0].imshow(overlay([before[name] for name in channels], channels, ends))
        axes[-1, 1].imshow(overlay([field.channels[name] for name in channels], channels, ends))
        tiles, pixel_um = _tiles(dataset, field), dataset.manifest.pixel_size_um
        axes[-1, 2].imshow(tiles, interpolation="nearest")
        draw_scale_bar(axes[-1, 2], pixel_um, tiles.shape[1], tiles.shape[0])
        height, width = field.channels[channels[0]].shape
        for panel in axes[-1, :2]:
            draw_scale_bar(panel, pixel_um and pixel_um / field.scale, width, height)
        axes[-1, 0].set_ylabel("overlay", fontsize=8)
        for panel, title in zip(axes[0], ("acquired", "corrected", "flat-field"), strict=True):
            panel.set_title(title, fontsize=9)
        axes[-1, 2].set_title("tiles", fontsize=9)
        rows = [_row(field, name, before[name], flats[name]) for name in channels]
        told = "; ".join(f"{row['channel']} {row['flat_low']:.2f} to {row['flat_high']:.2f}" for row in rows)
        return Drawn(
            canvas=made,
            numbers=pd.DataFrame(rows),
            title="Image preprocessing",
            caption=f"Field {field.site} of well {field.well}, plate {field.plate}: acquired (the corrected field "
            "times its flat-field), corrected, and the flat-field (mean 1); below their overlays and cell-centred "
            "tiles. Contrast is the same before and after. Look for corners that are dark on the left alone.",
            alt=f"A field before and after illumination correction; flat-fields {told}",
            notes=tuple(f"{name} has no flat-field" for name, flat in flats.items() if flat is None),
        )

    def _kept(self, dataset: Dataset) -> dict[str, Any]:
        kept = sorted(fields_of(dataset), key=lambda each: (each["bag"], each["site"]))
        if self.options.well is None:
            return kept[0]
        named = [each for each in kept if self.options.well in (each["well"], f"{each['plate']}/{each['well']}")]
        if not named:
            there = ", ".join(dict.fromkeys(f"{each['plate']}/{each['well']}" for each in kept))
            raise InputError(f"well '{self.options.well}': no field of it is kept; there are {there}")
        return named[0]


def _acquired(plane: Floats, flat: Floats | None) -> Floats:
    """Return a corrected plane as it was before: a dataset keeps no raw images."""
    return plane if flat is None else plane * flat


def _range(plane: Floats) -> tuple[float, float]:
    low, high = np.percentile(plane, (1, 99.7))
    return float(low), float(high)


def _flat(panel: Axes, flat: Floats | None) -> None:
    if flat is None:
        panel.set_visible(False)
        return
    image = panel.imshow(flat, cmap="cividis")
    bar = panel.figure.colorbar(image, ax=panel, shrink=0.9, pad=0.02)
    bar.set_label("light / mean", fontsize=7.5)
    bar.ax.tick_params(labelsize=7)
    panel.set_xlabel(f"{flat.min():.2f} to {flat.max():.2f}", fontsize=7.5)


def _tiles(dataset: Dataset, field: Field) -> Floats:
    """Return a mosaic of tiles of the field, or of its well where the field has none."""
    own = np.arange(*dataset.index.bag_start[[field.bag, field.bag + 1]])
    if not len(own):
        raise InputError(f"{dataset.where}: well {field.well} has no tile; name another with well=")
    sites = dataset.tile_table(["site"])["site"].to_numpy()[own]
    ids = (own[sites == field.site] if (sites == field.site).any() else own)[:_TILES]
    pixels = np.empty((len(ids), *dataset.manifest.tile.shape), dtype=dataset.manifest.tile.dtype)
    TileStore(dataset, None).gather(ids.astype(np.int64), pixels)
    return mosaic(composite(pixels, dataset.manifest.tile.channels, dataset.manifest.channel_statistics))


def _row(field: Field, channel: str, before: Floats, flat: Floats | None) -> dict[str, object]:
    after = field.channels[channel]
    return {
        "plate": field.plate,
        "well": field.well,
        "site": field.site,
        "channel": channel,
        "flat_low": float(flat.min()) if flat is not None else 1.0,
        "flat_high": float(flat.max()) if flat is not None else 1.0,
        "corner_to_centre_before": _corner_to_centre(before),
        "corner_to_centre_after": _corner_to_centre(after),
    }


def _corner_to_centre(plane: Floats) -> float:
    """Return the mean of the corners, an eighth of each side, over that of the middle; NaN where that is dark."""
    height, width = (max(1, side // 8) for side in plane.shape)
    rows, columns = (slice(0, height), slice(-height, None)), (slice(0, width), slice(-width, None))
    corners = np.mean([plane[row, column].mean() for row in rows for column in columns])
    top, left = (side // 2 - size for side, size in zip(plane.shape, (height, width), strict=True))
    centre = plane[top : top + 2 * height, left : left + 2 * width].mean()
    return float(corners / centre) if centre > 0 else float("nan")
