"""Figure 8 of Image2Omics: what the dyes show in a control well, one row per stimulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, STIMULATION
from framework.report.canvas import bare, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.figures.images import channel_colours
from framework.report.figures.scale import draw_scale_bar
from framework.report.omics.fields import Field, Floats, fields_of, nuclei_last, overlay, read_field, shade
from framework.report.omics.panels import WIDTH


@FIGURES.register("stains", FigureConfig)
class Stains(FigureKind[FigureConfig]):
    """Channels of control wells."""

    shows = "each channel and their overlay in a control well, one row per stimulation"
    paper = "Figure 8"
    takes = ("data",)
    order = 80

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw the channels, nuclei last, and the overlay; contrast is the same in every row."""
        dataset = inputs.dataset
        chosen, notes = _of_stimulations(dataset)
        fields = {name: read_field(dataset, kept) for name, kept in chosen.items()}
        channels = nuclei_last(dataset.manifest.tile.channels)
        ranges = {name: _range([field.channels[name] for field in fields.values()]) for name in channels}
        size = WIDTH / (len(channels) + 1)
        made, axes = figure(WIDTH, size * len(fields) + 0.3, len(fields), len(channels) + 1)
        for line, (name, field) in zip(axes, fields.items(), strict=True):
            for panel in line:
                bare(panel)
            for panel, channel in zip(line, channels, strict=False):
                panel.imshow(shade(field.channels[channel], ranges[channel]), cmap="gray", vmin=0, vmax=1)
            line[-1].imshow(_overlay(dataset, field, ranges))
            line[0].set_ylabel(name, fontsize=9)
            step = dataset.manifest.pixel_size_um
            height, width = field.channels[channels[0]].shape
            draw_scale_bar(line[-1], step and step / field.scale, width, height)
        for panel, channel in zip(axes[0], [*channels, "overlay"], strict=True):
            panel.set_title(shortened(channel, 18), fontsize=8)
        names = dataset.manifest.tile.channels
        told = ", ".join(f"{name} {colour}" for name, (colour, _) in zip(names, channel_colours(names), strict=True))
        return Drawn(
            canvas=made,
            numbers=_numbers(dataset, fields, ranges),
            title="Fluorescent dyes",
            caption="Fields of control wells, one row per stimulation, after illumination correction. Overlay: "
            f"{told}. Contrast of a channel is the same in every row.",
            alt=f"Channels {', '.join(channels)} and their overlay for {', '.join(fields)}",
            notes=tuple(notes),
        )


def _of_stimulations(dataset: Dataset) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return stimulation -> a field to show: of a negative control where one is kept."""
    bags, chosen, notes = dataset.bags, {}, []
    kept = sorted(fields_of(dataset), key=lambda field: (field["bag"], field["site"]))
    facts = bags.set_index("bag")
    for name in sorted(facts[STIMULATION].astype(str).unique()):
        mine = [field for field in kept if str(facts[STIMULATION].get(int(field["bag"]))) == name]
        controls = [field for field in mine if facts[CONTROL_TYPE].get(int(field["bag"])) == "negcon"]
        shown = name or "all wells"
        if mine and not controls:
            other = facts[PERTURBATION].get(int(mine[0]["bag"]))
            notes.append(
                f"{shown}: no field of a negative control is kept, so well {mine[0]['well']} ({other}) is shown"
            )
        elif not mine:
            notes.append(f"{shown}: no field is kept")
        if mine:
            chosen[shown] = (controls or mine)[0]
    return chosen, notes


def _range(planes: list[Floats]) -> tuple[float, float]:
    together = np.concatenate([plane.ravel() for plane in planes])
    low, high = np.percentile(together, (1, 99.7))
    return float(low), float(high)


def _overlay(dataset: Dataset, field: Field, ranges: dict[str, tuple[float, float]]) -> Floats:
    names = dataset.manifest.tile.channels
    return overlay([field.channels[name] for name in names], names, [ranges[name] for name in names])


def _numbers(dataset: Dataset, fields: dict[str, Field], ranges: dict[str, tuple[float, float]]) -> pd.DataFrame:
    perturbations = dataset.bags.set_index("bag")[PERTURBATION]
    return pd.DataFrame(
        [
            {
                "stimulation": name,
                "plate": field.plate,
                "well": field.well,
                "site": field.site,
                "perturbation": str(perturbations.get(field.bag)),
                "channel": channel,
                "mean": float(plane.mean()),
                "shown_from": ranges[channel][0],
                "shown_to": ranges[channel][1],
            }
            for name, field in fields.items()
            for channel, plane in field.channels.items()
        ]
    )
