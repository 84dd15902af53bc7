"""The same pixels in the layouts of five instruments and stores: what ``layout`` of a simulated plate chooses.

Each writes the images of a field where its kind of export has them, and at the end the file that lists or describes
them. Numbers of fields, planes and timepoints begin at 1, rows and columns of wells at 0.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt
import zarr

from data_tools.simulate.gene_tables import well_name
from data_tools.simulate.harmony_export import Coefficients, image_name, write_image, write_index
from data_tools.simulate.optics import illumination_from
from data_tools.simulate.plate_config import CHANNELS, PlateConfig

Pixels = npt.NDArray[np.uint16]
Wells = Sequence[tuple[int, int]]
_BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


class Layout(ABC):
    """How an export of one plate looks; ``folder`` is that of the plate."""

    @abstractmethod
    def write_site(
        self, folder: Path, config: PlateConfig, plate: str, well: tuple[int, int], site: int, images: Sequence[Pixels]
    ) -> None:
        """Write the images of a field, one per channel, (H, W); called from several threads."""

    @abstractmethod
    def finish(self, folder: Path, config: PlateConfig, plate: str, wells: Wells, coefficients: Coefficients) -> None:
        """Write what lists or describes the images; ``wells`` are those imaged, ``coefficients`` as in ``optics``."""


def _write(file: Path, image: Pixels, config: PlateConfig) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_image(file, image, config.pixel_size_um)


class Harmony(Layout):
    """Opera Phenix and Operetta."""

    def write_site(self, folder: Path, config: PlateConfig, plate: str, well: tuple[int, int], site: int,
                   images: Sequence[Pixels]) -> None:  # fmt: skip
        """Write one TIFF per channel into ``Images``."""
        for channel, image in enumerate(images, start=1):
            _write(folder / "Images" / image_name(*well, site, channel), image, config)

    def finish(self, folder: Path, config: PlateConfig, plate: str, wells: Wells, coefficients: Coefficients) -> None:
        """Write the index."""
        write_index(folder / "Images", config, plate, wells, coefficients)


class ImageXpress(Layout):
    """MetaXpress."""

    def write_site(self, folder: Path, config: PlateConfig, plate: str, well: tuple[int, int], site: int,
                   images: Sequence[Pixels]) -> None:  # fmt: skip
        """Write one TIFF per wavelength into ``TimePoint_1``."""
        for wave, image in enumerate(images, start=1):
            _write(folder / "TimePoint_1" / f"{plate}_{well_name(*well)}_s{site}_w{wave}.tif", image, config)

    def finish(self, folder: Path, config: PlateConfig, plate: str, wells: Wells, coefficients: Coefficients) -> None:
        """Write the ``.HTD`` file."""
        chosen = set(wells)
        lines = ['"HTSInfoFile", Version 1.0', '"TimePoints", 1', '"ZSteps", 0', f'"XWells", {config.columns}',
                 f'"YWells", {config.rows}']  # fmt: skip
        for row in range(config.rows):
            flags = ", ".join(str((row, column) in chosen).upper() for column in range(config.columns))
            lines.append(f'"WellsSelection{row + 1}", {flags}')
        lines += [f'"XSites", {config.sites}', '"YSites", 1', f'"SiteSelection1", {", ".join(["TRUE"] * config.sites)}',
                  f'"NWavelengths", {len(CHANNELS)}']  # fmt: skip
        lines += [f'"WaveName{number}", "{name}"' for number, name in enumerate(CHANNELS, start=1)]
        (folder / f"{plate}.HTD").write_bytes("\r\n".join([*lines, '"EndFile"', ""]).encode("latin-1"))


class CellVoyager(Layout):
    """Yokogawa CV7000 and CV8000."""

    def write_site(self, folder: Path, config: PlateConfig, plate: str, well: tuple[int, int], site: int,
                   images: Sequence[Pixels]) -> None:  # fmt: skip
        """Write one TIFF per channel."""
        for channel, image in enumerate(images, start=1):
            _write(folder / self._name(plate, well, site, channel), image, config)

    @staticmethod
    def _name(plate: str, well: tuple[int, int], site: int, channel: int) -> str:
        return f"{plate}_{well_name(*well)}_T0001F{site:03d}L01A{channel:02d}Z01C{channel:02d}.tif"

    def finish(self, folder: Path, config: PlateConfig, plate: str, wells: Wells, coefficients: Coefficients) -> None:
        """Write ``.mlf``, ``.mrf`` and ``.mes``."""
        numbers = range(1, len(CHANNELS) + 1)
        records = [
            f'<bts:MeasurementRecord bts:Type="IMG" bts:Column="{column + 1}" bts:Row="{row + 1}" bts:TimePoint="1" '
            f'bts:FieldIndex="{site}" bts:ZIndex="1" bts:ActionIndex="{number}" bts:Ch="{number}">'
            f"{self._name(plate, (row, column), site, number)}</bts:MeasurementRecord>"
            for row, column in wells
            for site in range(1, config.sites + 1)
            for number in numbers
        ]
        size = f"{config.pixel_size_um:.9g}"
        sizes = [
            f'<bts:MeasurementChannel bts:Ch="{number}" bts:HorizontalPixelDimension="{size}" '
            f'bts:VerticalPixelDimension="{size}" />'
            for number in numbers
        ]
        names = [
            f'<bts:Channel bts:Ch="{number}" bts:Target="{number}" bts:Fluorophore={quoteattr(name)} />'
            for number, name in enumerate(CHANNELS, start=1)
        ]
        self._xml(folder / "MeasurementData.mlf", "MeasurementData", "", records)
        facts = (
            f' bts:Title={quoteattr(plate)} bts:MeasurementSettingFileName="simulation.mes" '
            f'bts:RowCount="{config.rows}" bts:ColumnCount="{config.columns}"'
        )
        sample = f"<bts:MeasurementSamplePlate bts:Name={quoteattr(plate)} />"
        self._xml(folder / "MeasurementDetail.mrf", "MeasurementDetail", facts, [sample, *sizes])
        listed = ["<bts:ChannelList>", *names, "</bts:ChannelList>"]
        self._xml(folder / "simulation.mes", "MeasurementSetting", "", listed)

    @staticmethod
    def _xml(file: Path, root: str, attributes: str, lines: Sequence[str]) -> None:
        head = f'<?xml version="1.0" encoding="utf-8"?>\n<bts:{root} bts:Version="1.0"{attributes} {_BTS}>\n'
        file.write_text(head + "\n".join(lines) + f"\n</bts:{root}>\n", encoding="utf-8")


class Gallery(Layout):
    """Images and tables as in the Cell Painting Gallery."""

    def write_site(self, folder: Path, config: PlateConfig, plate: str, well: tuple[int, int], site: int,
                   images: Sequence[Pixels]) -> None:  # fmt: skip
        """Write one TIFF per channel into ``images``."""
        for channel, image in zip(CHANNELS, images, strict=True):
            _write(folder / "images" / self._name(plate, well, site, channel), image, config)

    @staticmethod
    def _name(plate: str, well: tuple[int, int], site: int, channel: str) -> str:
        return f"{plate}_{well_name(*well)}_{site}_{channel}.tiff"

    def finish(self, folder: Path, config: PlateConfig, plate: str, wells: Wells, coefficients: Coefficients) -> None:
        """Write ``load_data.csv`` and the illumination functions."""
        columns = [f"{part}_Orig{name}" for name in CHANNELS for part in ("FileName", "PathName")]
        lines = [",".join([*columns, "Metadata_Plate", "Metadata_Well", "Metadata_Site"])]
        for row, column in wells:
            for site in range(1, config.sites + 1):
                cells = [cell for name in CHANNELS for cell in (self._name(plate, (row, column), site, name), "images")]
                lines.append(",".join([*cells, plate, well_name(row, column), str(site)]))
        (folder / "load_data.csv").write_text("\n".join(lines) + "\n")
        (folder / "illum").mkdir(exist_ok=True)
        for name, terms in zip(CHANNELS, coefficients, strict=True):
            field = illumination_from(tuple(tuple(row) for row in terms), config.size_px)
            np.save(folder / "illum" / f"{plate}_Illum{name}.npy", field, allow_pickle=False)


class OmeZarr(Layout):
    """A plate in OME-Zarr 0.5."""

    def write_site(self, folder: Path, config: PlateConfig, plate: str, well: tuple[int, int], site: int,
                   images: Sequence[Pixels]) -> None:  # fmt: skip
        """Write a field as one array (C, H, W), a chunk per channel, and its metadata."""
        row, column = well_name(*well)[:-2], str(int(well_name(*well)[-2:]))
        window = {"min": 0, "max": 65535, "start": 0, "end": 65535}
        labels = [{"label": name, "active": True, "color": "FFFFFF", "window": window} for name in CHANNELS]
        facts = {"multiscales": [self._scales(config)], "omero": {"channels": labels}}
        field = self._group(folder / row / column / str(site - 1), facts)
        pixels = np.stack(images)
        array = zarr.create_array(
            str(field / "0"), shape=pixels.shape, dtype=pixels.dtype, chunks=(1, *pixels.shape[1:]), overwrite=True,
            dimension_names=("c", "y", "x"),
        )  # fmt: skip
        array[...] = pixels

    @staticmethod
    def _scales(config: PlateConfig) -> dict[str, Any]:
        size = config.pixel_size_um
        space = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
        step = {"type": "scale", "scale": [1.0, size, size]}
        return {
            "name": "0",
            "axes": [{"name": "c", "type": "channel"}, *space],
            "datasets": [{"path": "0", "coordinateTransformations": [step]}],
        }

    @staticmethod
    def _group(folder: Path, facts: dict[str, Any]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        plain = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {"version": "0.5", **facts}} if facts else {},
        }
        (folder / "zarr.json").write_text(json.dumps(plain, indent=1))
        return folder

    def finish(self, folder: Path, config: PlateConfig, plate: str, wells: Wells, coefficients: Coefficients) -> None:
        """Write the metadata of the plate, its rows and its wells."""
        letters = [well_name(row, 0)[:-2] for row in range(config.rows)]
        listed = [
            {"path": f"{letters[row]}/{column + 1}", "rowIndex": row, "columnIndex": column} for row, column in wells
        ]
        facts = {
            "name": plate,
            "rows": [{"name": name} for name in letters],
            "columns": [{"name": str(column + 1)} for column in range(config.columns)],
            "wells": listed,
            "field_count": config.sites,
        }
        self._group(folder, {"plate": facts})
        for row, column in wells:
            self._group(folder / letters[row], {})
            images = [{"path": str(site)} for site in range(config.sites)]
            self._group(folder / letters[row] / str(column + 1), {"well": {"images": images}})


LAYOUTS: dict[str, Layout] = {
    "harmony": Harmony(),
    "imagexpress": ImageXpress(),
    "cellvoyager": CellVoyager(),
    "gallery": Gallery(),
    "omezarr": OmeZarr(),
}
