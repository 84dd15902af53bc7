"""Where every random number of a simulation comes from: one generator per purpose and place, never per order of work.

A generator is a function of the user's seed, what it is for, and where (plate, well, site ...), so any number of
threads, and any order in which they finish, draws the same numbers.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a generator is for; the numbers are part of the output's identity, so they are never reused or changed."""

    LAYOUT = 1
    PERTURBATIONS = 2
    STIMULATIONS = 3
    WELL = 4
    SITE = 5
    TEXTURES = 6
    OPTICS = 7
    GENES = 8
    SPECIFIC = 9
    OMICS_LAYOUT = 10
    OMICS_BATCH = 11
    OMICS_SAMPLE = 12
    IFC_CELLS = 13
    IFC_IMAGE = 14
    SEQUENCED_CELLS = 15
    SURFACE_PROTEINS = 16
    IFC_GENES = 17
    IFC_COUNTS = 18
    FOREIGN_CELLS = 19
    CROP_PROTEIN = 20
    CROP_CELL = 21


def generator(seed: int, stream: Stream, *place: int) -> np.random.Generator:
    """Return the generator of ``stream`` at ``place`` (non-negative integers, as plate, row, column, site)."""
    return np.random.default_rng(np.random.SeedSequence([seed, int(stream), *place]))
