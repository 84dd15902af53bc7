"""Writes a Harmony export as Opera Phenix and Operetta instruments leave it: an index file and one LZW TIFF a plane.

Two forms of the index exist in the wild and both are written: V5 (``Index.idx.xml``) repeats the channel's facts in
every Image and counts time points from 0; V7 (``Index.xml``) keeps them in a third Map and counts from 1.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt
import tifffile

from data_tools.simulate.plate_config import CHANNELS, PlateConfig

INDEX_NAMES = {"V5": "Index.idx.xml", "V7": "Index.xml"}

_NAMESPACES = {
    "V5": "http://www.perkinelmer.com/PEHH/HarmonyV5",
    "V7": "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7",
}
_ROOT_VERSION = {"V5": "1", "V7": "2"}
_FIRST_TIMEPOINT = {"V5": 0, "V7": 1}
_START = datetime(2024, 1, 8, 9, 0, tzinfo=UTC)
_IMAGE_S = timedelta(seconds=0.4)
_UUID_ROOT = uuid.UUID("6f0d6a52-6f0e-5c44-9a7e-3b8e2c1d4f70")


@dataclass(frozen=True, kw_only=True)
class Stain:
    """Optical facts of a channel: wavelengths in nm, exposure in s."""

    excitation_nm: int
    emission_nm: int
    exposure_s: float


STAINS = {
    "Hoechst": Stain(excitation_nm=375, emission_nm=456, exposure_s=0.1),
    "MitoTracker": Stain(excitation_nm=561, emission_nm=599, exposure_s=0.2),
    "Phalloidin": Stain(excitation_nm=640, emission_nm=706, exposure_s=0.2),
}

Coefficients = Sequence[Sequence[Sequence[float]]]


def image_name(row: int, column: int, site: int, channel: int) -> str:
    """Return ``r01c01f01p01-ch1sk1fk1fl1.tiff``; ``row`` and ``column`` from 0, ``site`` and ``channel`` from 1."""
    return f"r{row + 1:02d}c{column + 1:02d}f{site:02d}p01-ch{channel}sk1fk1fl1.tiff"


def write_image(file: Path, image: npt.NDArray[np.uint16], pixel_size_um: float) -> None:
    """Write one plane (H, W) as an LZW TIFF without date or software tag, so equal pixels give equal bytes."""
    per_cm = 1e4 / pixel_size_um
    tifffile.imwrite(
        file,
        image,
        byteorder="<",
        compression="lzw",
        photometric="minisblack",
        rowsperstrip=image.shape[0],
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        software=False,
        metadata=None,
    )


def write_index(
    folder: Path, config: PlateConfig, plate: str, wells: Sequence[tuple[int, int]], coefficients: Coefficients
) -> Path:
    """Write the index of a plate.

    Args:
        folder: the ``Images`` folder.
        config: the simulation.
        plate: name of this plate.
        wells: (row, column) from 0 of every imaged well, in plate order.
        coefficients: per channel the polynomial of the illumination, see ``optics``.

    Returns:
        The file.
    """
    file = folder / INDEX_NAMES[config.index]
    lines = _Document(config=config, plate=plate, wells=tuple(wells), coefficients=coefficients).lines()
    text = "\r\n".join(lines)
    file.write_bytes(b"\xef\xbb\xbf" + text.encode("utf-8"))
    return file


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The index as lines of text."""

    config: PlateConfig
    plate: str
    wells: tuple[tuple[int, int], ...]
    coefficients: Coefficients

    def lines(self) -> Iterator[str]:
        form = self.config.index
        yield '<?xml version="1.0" encoding="utf-8"?>'
        yield (
            '<EvaluationInputData xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'Version="{_ROOT_VERSION[form]}" xmlns="{_NAMESPACES[form]}">'
        )
        yield "  <User>simulation</User>"
        yield "  <InstrumentType>Phenix</InstrumentType>"
        yield from self._plates()
        yield from self._wells()
        yield from self._maps()
        yield "  <Images>"
        for number, (row, column, site, channel) in enumerate(self._planes()):
            yield from self._image(number, row, column, site, channel)
        yield "  </Images>"
        yield "</EvaluationInputData>"

    def _planes(self) -> Iterator[tuple[int, int, int, int]]:
        for row, column in self.wells:
            for site in range(1, self.config.sites + 1):
                for channel in range(1, len(CHANNELS) + 1):
                    yield row, column, site, channel

    def _plates(self) -> Iterator[str]:
        config = self.config
        yield "  <Plates>"
        yield "    <Plate>"
        yield f"      <PlateID>{escape(self.plate)}</PlateID>"
        yield f"      <MeasurementID>{uuid.uuid5(_UUID_ROOT, f'{self.plate} {config.seed}')}</MeasurementID>"
        yield f"      <MeasurementStartTime>{_time(_START)}</MeasurementStartTime>"
        yield f"      <Name>{escape(self.plate)}</Name>"
        yield f"      <PlateTypeName>{config.rows * config.columns} simulated</PlateTypeName>"
        yield f"      <PlateRows>{config.rows}</PlateRows>"
        yield f"      <PlateColumns>{config.columns}</PlateColumns>"
        for row, column in self.wells:
            yield f"      <Well id={quoteattr(_well_id(row, column))} />"
        yield "    </Plate>"
        yield "  </Plates>"

    def _wells(self) -> Iterator[str]:
        yield "  <Wells>"
        for row, column in self.wells:
            yield "    <Well>"
            yield f"      <id>{_well_id(row, column)}</id>"
            yield f"      <Row>{row + 1}</Row>"
            yield f"      <Col>{column + 1}</Col>"
            for site in range(1, self.config.sites + 1):
                for channel in range(1, len(CHANNELS) + 1):
                    yield f'      <Image id="{self._image_id(row, column, site, channel)}" />'
            yield "    </Well>"
        yield "  </Wells>"

    def _maps(self) -> Iterator[str]:
        yield "  <Maps>"
        yield from self._map([(self._flatfield(number),) for number in range(len(CHANNELS))])
        if self.config.index == "V7":
            yield from self._map([("<SkewcropParameters />",)] * len(CHANNELS))
            yield from self._map([tuple(self._channel_facts(number)) for number in range(len(CHANNELS))])
        yield "  </Maps>"

    def _map(self, entries: Sequence[tuple[str, ...]]) -> Iterator[str]:
        yield "    <Map>"
        for number, content in enumerate(entries, start=1):
            yield f'      <Entry ChannelID="{number}">'
            for line in content:
                yield f"        {line}"
            yield "      </Entry>"
        yield "    </Map>"

    def _flatfield(self, number: int) -> str:
        size = self.config.size_px
        origin, scale = f"{(size - 1) / 2:.8g}", f"{1 / size:.8g}"
        terms = ", ".join("[" + ", ".join(f"{value:.8g}" for value in row) + "]" for row in self.coefficients[number])
        profile = (
            f"Profile: {{Coefficients: [{terms}], Dims: [{size}, {size}], Origin: [{origin}, {origin}], "
            f"Scale: [{scale}, {scale}], Type: Polynomial}}"
        )
        return (
            f"<FlatfieldProfile>{{Background: {{Character: NonFlat, {profile}}}, Channel: {number + 1}, "
            f"ChannelName: {CHANNELS[number]}, Foreground: {{Character: NonFlat, {profile}}}, "
            "Version: Acapella:2013}</FlatfieldProfile>"
        )

    def _channel_facts(self, number: int) -> Iterator[str]:
        size, resolution = self.config.size_px, f"{self.config.pixel_size_um * 1e-6:.10G}"
        yield f"<ChannelName>{CHANNELS[number]}</ChannelName>"
        yield "<ImageType>Signal</ImageType>"
        yield "<AcquisitionType>NonConfocal</AcquisitionType>"
        yield "<IlluminationType>Epifluorescence</IlluminationType>"
        yield "<ChannelType>Fluorescence</ChannelType>"
        yield f'<ImageResolutionX Unit="m">{resolution}</ImageResolutionX>'
        yield f'<ImageResolutionY Unit="m">{resolution}</ImageResolutionY>'
        yield f"<ImageSizeX>{size}</ImageSizeX>"
        yield f"<ImageSizeY>{size}</ImageSizeY>"
        yield "<BinningX>2</BinningX>"
        yield "<BinningY>2</BinningY>"
        yield "<MaxIntensity>65535</MaxIntensity>"
        yield "<CameraType>AndorZylaCam</CameraType>"
        if self.config.index == "V7":
            yield from self._wavelengths(number)

    def _wavelengths(self, number: int) -> Iterator[str]:
        stain = STAINS[CHANNELS[number]]
        yield f'<MainExcitationWavelength Unit="nm">{stain.excitation_nm}</MainExcitationWavelength>'
        yield f'<MainEmissionWavelength Unit="nm">{stain.emission_nm}</MainEmissionWavelength>'
        yield '<ObjectiveMagnification Unit="">20</ObjectiveMagnification>'
        yield '<ObjectiveNA Unit="">0.4</ObjectiveNA>'
        yield f'<ExposureTime Unit="s">{stain.exposure_s}</ExposureTime>'

    def _image(self, number: int, row: int, column: int, site: int, channel: int) -> Iterator[str]:
        form = self.config.index
        yield '    <Image Version="1">'
        yield f"      <id>{self._image_id(row, column, site, channel)}</id>"
        yield "      <State>Ok</State>"
        yield f"      <URL>{image_name(row, column, site, channel)}</URL>"
        yield f"      <Row>{row + 1}</Row>"
        yield f"      <Col>{column + 1}</Col>"
        yield f"      <FieldID>{site}</FieldID>"
        yield "      <PlaneID>1</PlaneID>"
        yield f"      <TimepointID>{_FIRST_TIMEPOINT[form]}</TimepointID>"
        if form == "V7":
            yield "      <SequenceID>1</SequenceID>"
            yield "      <GroupID>1</GroupID>"
        yield f"      <ChannelID>{channel}</ChannelID>"
        yield "      <FlimID>1</FlimID>"
        if form == "V5":
            yield from (f"      {line}" for line in self._channel_facts(channel - 1))
        yield from self._stage(number, site)
        if form == "V5":
            yield from (f"      {line}" for line in self._wavelengths(channel - 1))
        yield "    </Image>"

    def _stage(self, number: int, site: int) -> Iterator[str]:
        x_um, y_um = field_centre_um(site, self.config)
        yield f'      <PositionX Unit="m">{x_um * 1e-6:.9G}</PositionX>'
        yield f'      <PositionY Unit="m">{y_um * 1e-6:.9G}</PositionY>'
        yield '      <PositionZ Unit="m">2E-06</PositionZ>'
        yield '      <AbsPositionZ Unit="m">0.1375</AbsPositionZ>'
        yield '      <MeasurementTimeOffset Unit="s">0</MeasurementTimeOffset>'
        yield f"      <AbsTime>{_time(_START + number * _IMAGE_S)}</AbsTime>"

    def _image_id(self, row: int, column: int, site: int, channel: int) -> str:
        return f"{_well_id(row, column)}K1F{site}P1R{channel}"


def field_centre_um(site: int, config: PlateConfig) -> tuple[float, float]:
    """Return (x, y) of a field's centre from the well's centre, y upward; fields fill a square from the top left."""
    across = int(np.ceil(np.sqrt(config.sites)))
    down = int(np.ceil(config.sites / across))
    row, column = divmod(site - 1, across)
    width_um = config.size_px * config.pixel_size_um
    return (column - (across - 1) / 2) * width_um, ((down - 1) / 2 - row) * width_um


def _well_id(row: int, column: int) -> str:
    return f"{row + 1:02d}{column + 1:02d}"


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
