"""What a simulated plate is made of, and which wishes contradict each other."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from framework.config import StrictModel, UniqueNames

CHANNELS = ("Hoechst", "MitoTracker", "Phalloidin")
"""Channel names of every simulated plate, in acquisition order (ChannelID 1, 2, 3)."""

NEGATIVE_CONTROL = "NT"
POSITIVE_CONTROL = "POS"
NO_CELLS = "none"
"""Perturbation and stimulation of an empty well."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_TAKEN = ("omics", "platemap.csv", "simulate.yaml", "truth.parquet", "truth_nuclei.parquet", "truth_wells.parquet")
_READ_AS_MISSING = ("", "na", "n/a", "nan", "null", NO_CELLS)
_MOST_COVERED = 0.15
"""Share of a field that nuclei may cover in the neutral state; denser states then still find room."""


class PlateConfig(StrictModel):
    """One simulated experiment: replicate imaging plates, their omics plates, and the truth about both."""

    plate: str = Field("SIM", pattern=_NAME, max_length=60, description="the plate's name: letters, digits, _ . -")
    n_plates: int = Field(1, ge=1, le=99, description="replicate imaging plates, each with its own batch effect")
    rows: int = Field(8, ge=1, le=32, description="rows of the plate")
    columns: int = Field(12, ge=1, le=48, description="columns of the plate")
    perturbations: int = Field(23, ge=3, description="perturbations with the controls NT and POS, so 3 or more")
    stimulations: UniqueNames = Field(("M1", "M2"), min_length=1, description="every perturbation is done under each")
    replicates: int = Field(2, ge=1, description="imaging wells per condition on each plate")
    empty_wells: int = Field(1, ge=0, description="wells without cells, besides those of the conditions")
    out_of_focus_wells: int = Field(1, ge=0, description="wells of conditions whose images are blurred")

    sites: int = Field(2, ge=1, le=99, description="fields of view a well")
    size_px: int = Field(540, ge=64, le=4320, description="edge of a field of view")
    pixel_size_um: float = Field(0.6, gt=0, le=10, description="edge of a pixel")
    cells_per_site: float = Field(60, gt=0, description="mean number of cells in a field of the neutral state")
    nucleus_diameter_px: float = Field(24, ge=8, le=120, description="mean diameter of a nucleus")
    layout: Literal["harmony", "imagexpress", "cellvoyager", "gallery", "omezarr"] = Field(
        "harmony", description="how the export looks; the pixels are the same"
    )
    index: Literal["V5", "V7"] = Field("V5", description="form of the index, for the layout harmony")

    touching: float = Field(0.15, ge=0, le=1, description="share of cells placed against a neighbour's nucleus")
    debris_per_site: float = Field(0.6, ge=0, le=100, description="mean number of bright specks in a field")
    hot_pixels: int = Field(10, ge=0, le=10_000, description="defect pixels of the camera, per channel")
    illumination_strength: float = Field(0.4, ge=0, le=0.9, description="loss of light from brightest to darkest")
    batch_strength: float = Field(1.0, ge=0, le=3, description="scale of plate effects on images and omics")
    effect_strength: float = Field(1.0, gt=0, le=3, description="scale of the conditions' effects on cells")
    well_noise: float = Field(0.12, ge=0, le=2, description="sd of a well's latent state around its condition's")

    transcripts: int = Field(400, ge=1, le=50_000, description="transcripts that are measured")
    proteins: int = Field(150, ge=1, le=50_000, description="proteins that are measured")
    dependent_fraction: float = Field(0.3, ge=0, le=1, description="share of genes that follow the latent state")
    omics_replicates: int = Field(3, ge=1, le=99, description="omics wells per condition, one on each omics plate")
    seed: int = Field(0, ge=0, lt=2**63, description="of everything drawn")

    @model_serializer(mode="wrap")
    def _without_the_usual_layout(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``layout: harmony``: folders that were simulated before there were others stay recognised."""
        plain: dict[str, Any] = handler(self)
        return {key: value for key, value in plain.items() if (key, value) != ("layout", "harmony")}

    @property
    def n_conditions(self) -> int:
        """Perturbations times stimulations."""
        return self.perturbations * len(self.stimulations)

    @property
    def plate_names(self) -> tuple[str, ...]:
        """Names of the imaging plates."""
        if self.n_plates == 1:
            return (self.plate,)
        return tuple(f"{self.plate}-{number:02d}" for number in range(1, self.n_plates + 1))

    @model_validator(mode="after")
    def _wells_suffice(self) -> PlateConfig:
        wells, used = self.rows * self.columns, self.n_conditions * self.replicates
        if used + self.empty_wells > wells:
            raise ValueError(
                f"{self.perturbations} perturbations x {len(self.stimulations)} stimulations x "
                f"{self.replicates} replicates + {self.empty_wells} empty wells need "
                f"{used + self.empty_wells} wells, but a plate of {self.rows} x {self.columns} has {wells}; "
                "lower perturbations, replicates or empty_wells, or take a larger plate"
            )
        if self.out_of_focus_wells > used:
            raise ValueError(
                f"out_of_focus_wells is {self.out_of_focus_wells}, but only {used} wells have cells; lower it"
            )
        return self

    @model_validator(mode="after")
    def _names_are_usable(self) -> PlateConfig:
        for name in self.stimulations:
            if name.strip().lower() in _READ_AS_MISSING or any(sign in name for sign in ',"\n\r'):
                raise ValueError(
                    f"stimulation '{name}': expected a name without commas, quotes or line breaks that no table reader "
                    f"takes for a missing value ('{NO_CELLS}' marks empty wells); rename it"
                )
        if self.plate in _TAKEN:
            raise ValueError(f"plate '{self.plate}': this name is taken by another part of the output; rename it")
        return self

    @model_validator(mode="after")
    def _cells_fit(self) -> PlateConfig:
        nucleus = math.pi / 4 * self.nucleus_diameter_px**2
        room = _MOST_COVERED * self.size_px**2 / nucleus
        if self.cells_per_site > room:
            raise ValueError(
                f"{self.cells_per_site:g} cells with nuclei of {self.nucleus_diameter_px:g} px do not fit in a field "
                f"of {self.size_px} px, which holds {room:.0f}; lower cells_per_site or nucleus_diameter_px, or raise "
                "size_px"
            )
        return self
