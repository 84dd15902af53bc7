"""What a simulated pair of experiments is made of: imaging flow cytometry, and sequencing with surface proteins."""

from __future__ import annotations

from pydantic import Field, model_validator

from framework.config import StrictModel, UniqueNames

BRIGHTFIELD, DARKFIELD = "Brightfield", "Darkfield"
FIRST_MARKER_CHANNEL, DARKFIELD_CHANNEL = 2, 6
MOST_MARKERS = DARKFIELD_CHANNEL - FIRST_MARKER_CHANNEL

_NAME = r"^[A-Za-z0-9][A-Za-z0-9.-]*$"


class PopulationConfig(StrictModel):
    """One kind of cell.

    Attributes:
        share: share of all cells, relative to the shares of the other populations.
        levels: marker -> mean level, 0 (lowest) to 1 (highest); log10 of the protein on the surface grows with it.
        spread: standard deviation of the levels between its cells.
    """

    share: float = Field(gt=0)
    levels: dict[str, float]
    spread: float = Field(default=0.08, ge=0, le=0.5)


_PROGENITORS = {
    "CMP": PopulationConfig(share=0.25, levels={"CD34": 0.70, "FcgR": 0.45}),
    "GMP": PopulationConfig(share=0.30, levels={"CD34": 0.75, "FcgR": 0.85}),
    "MEP": PopulationConfig(share=0.25, levels={"CD34": 0.15, "FcgR": 0.20}),
    "other": PopulationConfig(share=0.20, levels={"CD34": 0.45, "FcgR": 0.40}, spread=0.18),
}


class IfcConfig(StrictModel):
    """One simulated pair; the defaults resemble the mouse progenitors of IFC-seq.

    Attributes:
        markers: surface markers that both experiments measure; channel Ch2 is the first of them.
        informative: share of the variance of the looks (size, grain, nucleus, rim) that the marker levels explain: 0
            makes brightfield images say nothing about markers, 1 all that noise of the camera leaves.
        stain_noise: standard deviation of ln(stain) around what the level says.
        dependent_fraction: share of genes whose expression follows the marker levels.
        population_fraction: share of genes that one population expresses more, whatever its markers.
        gene_noise: standard deviation of ln(expression) that nothing measured explains.
        other_proteins: surface proteins that only the sequencing experiment measures.
        foreign_cells: cells of another species among the sequenced ones, as in GSE100866; genes get prefixes then.
    """

    sample: str = Field("SIM", pattern=_NAME, max_length=60, description="prefix of file names: letters, digits, . -")
    cells: int = Field(2000, ge=1, le=10_000_000, description="imaged cells")
    sequenced_cells: int = Field(1500, ge=1, le=1_000_000, description="cells of the sequencing experiment")
    markers: UniqueNames = Field(("CD34", "FcgR"), min_length=1, max_length=MOST_MARKERS)
    populations: dict[str, PopulationConfig] = Field(_PROGENITORS, min_length=1, description="kinds of cells")

    informative: float = Field(0.6, ge=0, le=1)
    stain_noise: float = Field(0.15, ge=0, le=2)
    radius_px: float = Field(10.0, ge=4, le=100, description="mean radius of a cell")
    pixel_size_um: float = Field(0.5, gt=0, le=10, description="edge of a pixel")

    genes: int = Field(600, ge=1, le=50_000, description="genes that are sequenced")
    dependent_fraction: float = Field(0.3, ge=0, le=1)
    population_fraction: float = Field(0.15, ge=0, le=1)
    gene_noise: float = Field(0.2, ge=0, le=3)
    other_proteins: int = Field(3, ge=0, le=500)
    foreign_cells: int = Field(50, ge=0, le=1_000_000)
    foreign_genes: int = Field(100, ge=1, le=50_000, description="genes of the other species")
    seed: int = Field(0, ge=0, lt=2**63, description="of everything drawn")

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in the order of their files."""
        return (BRIGHTFIELD, *self.markers, DARKFIELD)

    @property
    def channel_numbers(self) -> tuple[int, ...]:
        """Numbers the instrument gives to ``channels``."""
        return (1, *range(FIRST_MARKER_CHANNEL, FIRST_MARKER_CHANNEL + len(self.markers)), DARKFIELD_CHANNEL)

    @model_validator(mode="after")
    def _check(self) -> IfcConfig:
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"'markers' must differ from each other and from {BRIGHTFIELD} and {DARKFIELD}")
        for name, population in self.populations.items():
            if set(population.levels) != set(self.markers):
                raise ValueError(
                    f"'populations.{name}.levels' names {', '.join(population.levels) or 'nothing'}; expected a "
                    f"level of each marker: {', '.join(self.markers)}"
                )
            outside = [marker for marker, level in population.levels.items() if not 0 <= level <= 1]
            if outside:
                raise ValueError(f"'populations.{name}.levels.{outside[0]}' must lie in 0 to 1")
        if self.dependent_fraction + self.population_fraction > 1:
            raise ValueError("'dependent_fraction' and 'population_fraction' add up to more than 1")
        return self
