"""Sections of the page of a look: entries of ``LOOK_SECTIONS``, as those of a run's page are of ``SECTIONS``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import pandas as pd

from framework.format import count_of
from framework.look.judged import warnings
from framework.look.values import Look, Sample
from framework.registry import Registry
from framework.report.figures.images import field_picture, flat_fields
from framework.report.look.figures import focus_dots, pixel_histograms, reduced, size_histogram
from framework.report.page import Answer, Block, Facts, Listing, Note, Section
from framework.report.run.figures_plate import plate_map
from framework.report.sections import SectionConfig, in_order, load_sections

_FIELDS, _FLATFIELDS, _PLATES = 6, 12, 6
_NUCLEUS_UM, _NUCLEUS_PX = 12.0, 20.0


class LookSection(ABC):
    """A part of the page of a look.

    Attributes:
        order: its place.
    """

    order: ClassVar[int]

    @abstractmethod
    def build(self, look: Look) -> Section | None:
        """Return the section; None where it has nothing to show."""


LOOK_SECTIONS: Registry[type[LookSection]] = Registry("section of a look")


@LOOK_SECTIONS.register("warnings", SectionConfig)
class Warnings(LookSection):
    """What to change before a build."""

    order = 0

    def build(self, look: Look) -> Section | None:
        """Return the sentences, and the facts."""
        said = warnings(look)
        blocks: list[Block] = [Note(text=text, doubt=True) for text in said]
        fits = "the diameter fits what is seen, tiles fit the nuclei" if look.cropped is None else "tiles fit the cells"
        if not said:
            blocks.append(Answer(text=f"Nothing stands out: {fits}.", good=True))
        blocks.append(Facts(items=look.facts))
        return Section(anchor="warnings", title="In short", lead="What should be changed first?", blocks=blocks)


@LOOK_SECTIONS.register("fields", SectionConfig)
class Fields(LookSection):
    """Fields with found nuclei circled."""

    order = 10

    def build(self, look: Look) -> Section | None:
        """Return a few fields."""
        blocks: list[Block] = []
        diameter = look.expected_px or look.sizes.typical_px or _usual(look)
        for sample in [each for each in look.samples if look.nuclei in each.images][:_FIELDS]:
            image, factor = reduced(sample.images[look.nuclei])
            nuclei = _frame(sample)
            title = f"{sample}, {look.nuclei}"
            scale = factor * sample.scale
            blocks.append(field_picture(image, nuclei, scale, diameter, title, look.tile_px, look.pixel_size_um))
        if not blocks:
            return None
        lead = (
            "Are the nuclei found? Circles have the expected diameter; squares are three of the tiles, at their size."
        )
        return Section(anchor="fields", title="Fields", lead=lead, blocks=blocks)


@LOOK_SECTIONS.register("sizes", SectionConfig)
class SizesSection(LookSection):
    """Found sizes against the expected one."""

    order = 20

    def build(self, look: Look) -> Section | None:
        """Return the histogram of sizes."""
        drawn = size_histogram(look)
        if drawn is None:
            return None
        lead = "Does the expected diameter fit what is seen?"
        return Section(anchor="sizes", title="Sizes", lead=lead, blocks=[drawn])


@LOOK_SECTIONS.register("channels", SectionConfig)
class Channels(LookSection):
    """Histograms of channels."""

    order = 30

    def build(self, look: Look) -> Section | None:
        """Return a panel per channel."""
        if not look.histograms:
            return None
        lead = "Do the channels use the camera's range, and is anything cut off at its top?"
        return Section(anchor="channels", title="Channels", lead=lead, blocks=[pixel_histograms(look.histograms)])


@LOOK_SECTIONS.register("light", SectionConfig)
class Light(LookSection):
    """Flat-fields."""

    order = 40

    def build(self, look: Look) -> Section | None:
        """Return the flat-fields."""
        if not look.flatfields:
            return None
        shown = dict(list(look.flatfields.items())[:_FLATFIELDS])
        return Section(
            anchor="light",
            title="Illumination",
            lead="What is the uneven light that is divided out? A look before a build fits it to the few fields that "
            "it reads whole, the build to all.",
            blocks=[flat_fields(shown, look.pixel_size_um)],
        )


@LOOK_SECTIONS.register("focus", SectionConfig)
class Focus(LookSection):
    """Focus of the fields."""

    order = 50

    def build(self, look: Look) -> Section | None:
        """Return a dot per field."""
        if len(look.focus) < 2:
            return None
        return Section(anchor="focus", title="Focus", lead="Which fields are blurred?", blocks=[focus_dots(look.focus)])


@LOOK_SECTIONS.register("plate", SectionConfig)
class PlateSection(LookSection):
    """Counts over the plate."""

    order = 60

    def build(self, look: Look) -> Section | None:
        """Return heat-maps."""
        if look.cropped is not None:
            return None
        shown = dict(list(look.counts.items())[:_PLATES])
        caption = (
            "Nuclei found in a field of each well. Crossed out: not looked at, such as wells that the plate map calls "
            "empty. Look for wells without nuclei, and for rows, columns or an edge that differ."
        )
        drawn = plate_map(shown, "nuclei per field", caption) if shown else None
        if drawn is None:
            return None
        return Section(
            anchor="plate", title="Plate", lead="Does the number of cells depend on the place?", blocks=[drawn]
        )


@LOOK_SECTIONS.register("input", SectionConfig)
class InputSection(LookSection):
    """Problems and notes."""

    order = 70

    def build(self, look: Look) -> Section | None:
        """Return what cannot be used, and what was joined and chosen."""
        blocks: list[Block] = []
        if look.problems:
            several = f"{count_of(len(look.problems), 'piece')} of input cannot be used"
            blocks.append(Note(text=f"{several}; the first: {look.problems[0]}", doubt=True))
            blocks.append(Listing(title=count_of(len(look.problems), "problem"), text="\n".join(look.problems)))
        if look.notes:
            title = f"{count_of(len(look.notes), 'note')} on what was read"
            blocks.append(Listing(title=title, text="\n".join(look.notes)))
        if not blocks:
            return None
        return Section(anchor="input", title="Input", lead="What was read, and what is missing?", blocks=blocks)


def look_sections() -> list[LookSection]:
    """Return all sections, in reading order."""
    load_sections("framework.report.look")
    return in_order(LOOK_SECTIONS)


def _usual(look: Look) -> float:
    return _NUCLEUS_PX if look.pixel_size_um is None else _NUCLEUS_UM / look.pixel_size_um


def _frame(sample: Sample) -> pd.DataFrame:
    status = np.where(sample.has_tile, "tile", "border")
    return pd.DataFrame({"y_px": sample.y_px, "x_px": sample.x_px, "status": status})
