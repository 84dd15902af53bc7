"""A few fields of view a plate as small 8-bit pictures, for the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_tools.pipeline.build.durable import writing
from data_tools.pipeline.build.facts import Overview
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.plate import Bag, Plate, Site
from data_tools.shards import random_order
from framework.durable import replacing
from framework.files.safe_names import safe_names

_LOW, _HIGH = 0.5, 99.8


def overview_sites(plate: Plate, config: IngestConfig) -> set[tuple[str, int]]:
    """Return the (well, site) of a plate that get pictures: drawn by seed, from as many wells as there are."""
    sites = plate.sites()
    order = random_order(len(sites), config.seed, "overview", plate.name)
    drawn = [(sites[index][0].well, sites[index][1].number) for index in order]
    seen: dict[str, int] = {}
    turns: list[tuple[int, int, str, int]] = []
    for well, number in drawn:
        seen[well] = seen.get(well, -1) + 1
        turns.append((seen[well], len(turns), well, number))
    return {(well, number) for _, _, well, number in sorted(turns)[: config.qc.sites_per_plate]}


def write_overview(
    stack: npt.NDArray[Any], plate: str, plate_key: str, bag: Bag, site: Site, config: IngestConfig, root: Path
) -> list[Overview]:
    """Write a PNG a channel and return what each shows.

    Args:
        stack: (C, H, W), corrected, channels as ``config.read_channels``.
        plate: name of the plate.
        plate_key: the plate in file names.
        bag: the well.
        site: the field of view.
        config: of the ingest.
        root: dataset folder.
    """
    names = safe_names(config.read_channels)
    entries = []
    for channel, image in zip(config.read_channels, stack, strict=True):
        scale = min(1.0, config.qc.max_px / max(image.shape))
        small = image.astype(np.float32)
        if scale < 1:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        low, high = (float(value) for value in np.percentile(small, (_LOW, _HIGH)))
        shown = np.clip((small - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
        name = f"qc/site_{plate_key}_{bag.well}_s{site.number}_{names[channel]}.png"
        with writing(root / "qc"), replacing(root / name) as stream:
            stream.write(cv2.imencode(".png", shown)[1].tobytes())
        entries.append(
            Overview(
                file=name,
                plate=plate,
                well=bag.well,
                site=site.number,
                bag=bag.bag,
                channel=channel,
                scale=scale,
                low=low,
                high=high,
            )
        )
    return entries
