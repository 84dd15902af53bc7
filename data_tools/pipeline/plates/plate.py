"""A plate as it is ingested: its wells, and of each the fields of view that are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_tools.illumination import Profile
from data_tools.readers.plates import ImageRef
from data_tools.single_cell import CellsConfig

PLANE_LABEL = "Metadata_Plane_"
"""What columns of tiles.parquet begin with that say which plane of a channel was read."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One field of view.

    Attributes:
        number: as the vendor numbers it.
        images: one per channel that is read, in the order of ``IngestConfig.read_channels``.
        nuclei_files: what the nucleus method reads beside them.
    """

    number: int
    images: tuple[ImageRef, ...]
    nuclei_files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bag:
    """One well.

    Attributes:
        bag: row of bags.parquet.
        well: ``A01``.
        metadata: the Metadata_ columns of its plate map.
        sites: complete sites, ascending; none in a well marked ``empty``, whose images are not read.
        n_sites_imaged: complete sites, also where they are not read.
        cells: its table of single cells.
    """

    bag: int
    well: str
    metadata: dict[str, str]
    sites: tuple[Site, ...]
    n_sites_imaged: int
    cells: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Plate:
    """One plate.

    Attributes:
        name: as in the export.
        key: the name as part of file names.
        pixel_size_um: or None.
        bags: wells in plate order.
        cells: how its tables of single cells are read.
        channels: all channels of the export.
        notes: sentences of the reader.
        profiles: of each channel that is read, where the illumination method takes those of the export.
    """

    name: str
    key: str
    pixel_size_um: float | None
    bags: tuple[Bag, ...]
    cells: CellsConfig | None
    channels: tuple[str, ...]
    notes: tuple[str, ...]
    profiles: tuple[Profile, ...] = ()

    @property
    def sharpest(self) -> tuple[str, ...]:
        """Channels of which the sharpest plane of each site is read."""
        found = {ref.channel for _, site in self.sites() for ref in site.images if ref.projection == "sharpest"}
        return tuple(channel for channel in self.channels if channel in found)

    def sites(self) -> list[tuple[Bag, Site]]:
        """Return every site that is read, in order."""
        return [(bag, site) for bag in self.bags for site in bag.sites]
