"""One call from a config to a folder that looks like an experiment, with the truth beside it.

What lies in the folder::

    simulate.yaml          the resolved config, written first: it marks the folder as this simulation's
    <plate>/               the export of a plate; Images/ with index file and TIFFs, or as ``layout`` says
    platemap.csv           Metadata_* of every imaged well
    omics/transcripts.csv.gz, omics/proteins.csv.gz
    truth.parquet          one row per gene, modality and stimulation: does it depend on what images show, how strongly
    truth_nuclei.parquet   where every nucleus is
    truth_wells.parquet    the latent state of every well

Equal configs give equal bytes, whatever the number of threads (same library versions, same kind of processor).
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.simulate.biology import (
    F64,
    LATENTS,
    Conditions,
    control_type,
    draw_cell_count,
    draw_conditions,
    draw_traits,
    well_state,
)
from data_tools.simulate.cells import Textures, draw_cells, place_cells
from data_tools.simulate.folder import claim, write_csv_gz
from data_tools.simulate.gene_tables import MODALITIES, GenePanel, sample_table, truth_table, well_name
from data_tools.simulate.layouts import LAYOUTS
from data_tools.simulate.optics import PlateOptics, photograph
from data_tools.simulate.plate_config import NO_CELLS, PlateConfig
from data_tools.simulate.streams import Stream, generator
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL
from framework.progress import OnCount
from framework.result import Result

PLATEMAP_NAME = "platemap.csv"
TRUTH_NAME, TRUTH_NUCLEI_NAME, TRUTH_WELLS_NAME = "truth.parquet", "truth_nuclei.parquet", "truth_wells.parquet"


@dataclass(frozen=True, kw_only=True, repr=False)
class PlateSummary(Result):
    """What was written.

    Attributes:
        out: the folder.
        plates: names of the imaging plates; each is a folder of ``out`` with an ``Images`` folder.
        n_wells, n_images, n_cells: imaged wells, TIFF files and nuclei over all plates.
        n_samples: omics samples by modality.
        n_strong: genes x stimulations that depend strongly, by modality.
    """

    out: Path
    plates: tuple[str, ...]
    n_wells: int
    n_images: int
    n_cells: int
    n_samples: dict[str, int]
    n_strong: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class _Well:
    """One imaged well: where it lies, what it holds, and its own latent state (None without cells)."""

    plate: int
    row: int
    column: int
    perturbation: str
    stimulation: str
    control: str
    latent: F64 | None
    out_of_focus: bool

    @property
    def name(self) -> str:
        return well_name(self.row, self.column)


def simulate_plate(
    config: PlateConfig, out: Path, progress: OnCount | None = None, threads: int | None = None
) -> PlateSummary:
    """Write a simulated experiment.

    Args:
        config: what to simulate.
        out: the folder; it may be missing, empty, or hold an earlier (even unfinished) simulation of the same config.
        progress: called with (sites done, sites in all), in this thread.
        threads: how many sites are drawn at a time; default the number of processors. It changes no byte.

    Raises:
        InputError: ``out`` is a file, or holds anything else.
    """
    folder = claim(Path(out), config)
    conditions = draw_conditions(config)
    wells = [well for plate in range(config.n_plates) for well in _plate_wells(config, conditions, plate)]
    nuclei = _write_images(folder, config, wells, progress, threads or os.cpu_count() or 1)
    names = config.plate_names
    for number, plate in enumerate(names):
        optics = PlateOptics.draw(config, number)
        imaged = [(well.row, well.column) for well in wells if well.plate == number]
        LAYOUTS[config.layout].finish(folder / plate, config, plate, imaged, optics.coefficients)
    samples, truth = _write_tables(folder, config, conditions, wells, nuclei)
    strong = truth[truth["class"] == "strong"].groupby("modality").size()
    return PlateSummary(
        out=folder,
        plates=names,
        n_wells=len(wells),
        n_images=len(wells) * config.sites * 3,
        n_cells=len(nuclei),
        n_samples=samples,
        n_strong={modality: int(strong.get(modality, 0)) for modality in MODALITIES},
    )


def _plate_wells(config: PlateConfig, conditions: Conditions, plate: int) -> list[_Well]:
    """Lay out one plate: conditions in random wells, so that position and condition are not confounded."""
    rng = generator(config.seed, Stream.LAYOUT, plate)
    n_used = config.n_conditions * config.replicates
    positions = rng.permutation(config.rows * config.columns)[: n_used + config.empty_wells]
    blurred = set(rng.permutation(n_used)[: config.out_of_focus_wells].tolist())
    wells = []
    for number, position in enumerate(positions.tolist()):
        row, column = divmod(position, config.columns)
        if number >= n_used:
            perturbation = stimulation = NO_CELLS
            control, latent = "empty", None
        else:
            p, s = divmod(number // config.replicates, len(conditions.stimulations))
            perturbation, stimulation = conditions.perturbations[p], conditions.stimulations[s]
            control = control_type(perturbation)
            noise = generator(config.seed, Stream.WELL, plate, row, column)
            latent = well_state(conditions.latent[p, s], config.well_noise, noise)
        wells.append(
            _Well(
                plate=plate,
                row=row,
                column=column,
                perturbation=perturbation,
                stimulation=stimulation,
                control=control,
                latent=latent,
                out_of_focus=number in blurred,
            )
        )
    return sorted(wells, key=lambda well: (well.row, well.column))


def _write_images(
    folder: Path, config: PlateConfig, wells: list[_Well], progress: OnCount | None, threads: int
) -> pd.DataFrame:
    """Write every TIFF and return the nuclei of all sites, in plate, well and site order."""
    textures = Textures.draw(config)
    optics = [PlateOptics.draw(config, plate) for plate in range(config.n_plates)]
    sites = [(well, site) for well in wells for site in range(1, config.sites + 1)]
    tables = []
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="simulate") as pool:
        tasks: list[Future[pd.DataFrame]] = [
            pool.submit(_write_site, folder, config, well, site, textures, optics[well.plate]) for well, site in sites
        ]
        try:
            for done, task in enumerate(tasks, start=1):
                tables.append(task.result())
                if progress is not None:
                    progress(done, len(tasks))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return pd.concat(tables, ignore_index=True)


def _write_site(
    folder: Path, config: PlateConfig, well: _Well, site: int, textures: Textures, optics: PlateOptics
) -> pd.DataFrame:
    """Draw and write the images of one site; everything random in it comes from (seed, plate, well, site)."""
    rng = generator(config.seed, Stream.SITE, well.plate, well.row, well.column, site)
    latent = np.zeros(len(LATENTS)) if well.latent is None else well.latent
    count = 0 if well.latent is None else draw_cell_count(latent, config.cells_per_site, rng)
    traits = draw_traits(latent, count, config.nucleus_diameter_px, rng)
    placement = place_cells(traits, config.size_px, config.touching, rng)
    light = draw_cells(traits, placement, textures, config.size_px, rng)
    images = photograph(light, optics, well.out_of_focus, config.debris_per_site, rng)
    plate = config.plate_names[well.plate]
    LAYOUTS[config.layout].write_site(folder / plate, config, plate, (well.row, well.column), site, list(images))
    return pd.DataFrame(
        {
            "plate": pd.Series([plate] * len(placement.kept), dtype="string"),
            "well": pd.Series([well.name] * len(placement.kept), dtype="string"),
            "site": np.full(len(placement.kept), site, dtype=np.int16),
            "y_px": placement.y_px,
            "x_px": placement.x_px,
            "radius_px": traits.nucleus_radius_px[placement.kept],
            "touching": placement.touching,
            "out_of_focus": np.full(len(placement.kept), well.out_of_focus),
        }
    )


def _write_tables(
    folder: Path, config: PlateConfig, conditions: Conditions, wells: list[_Well], nuclei: pd.DataFrame
) -> tuple[dict[str, int], pd.DataFrame]:
    """Write plate map, omics and truth; return samples by modality and the truth about genes."""
    plates = config.plate_names
    rows = [(plates[well.plate], well.name, well.perturbation, well.stimulation, well.control) for well in wells]
    platemap = pd.DataFrame(rows, columns=[PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE])
    platemap.to_csv(folder / PLATEMAP_NAME, index=False, lineterminator="\n")
    nuclei.to_parquet(folder / TRUTH_NUCLEI_NAME, index=False)
    _well_table(config, wells, nuclei).to_parquet(folder / TRUTH_WELLS_NAME, index=False)
    (folder / "omics").mkdir(exist_ok=True)
    samples: dict[str, int] = {}
    truths = []
    for modality in MODALITIES:
        panel = GenePanel.draw(config, conditions, modality)
        table = sample_table(config, conditions, panel)
        write_csv_gz(folder / "omics" / f"{modality}.csv.gz", table)
        samples[modality] = len(table)
        truths.append(truth_table(config, conditions, panel))
    truth = pd.concat(truths, ignore_index=True)
    truth.to_parquet(folder / TRUTH_NAME, index=False)
    return samples, truth


def _well_table(config: PlateConfig, wells: list[_Well], nuclei: pd.DataFrame) -> pd.DataFrame:
    """Return the truth about wells: one row per well, latent state NaN where there are no cells."""
    counts = nuclei.groupby(["plate", "well"]).size()
    plates = config.plate_names
    columns: dict[str, object] = {
        "plate": [plates[well.plate] for well in wells],
        "well": [well.name for well in wells],
        "perturbation": [well.perturbation for well in wells],
        "stimulation": [well.stimulation for well in wells],
        "control_type": [well.control for well in wells],
        "n_cells": [int(counts.get((plates[well.plate], well.name), 0)) for well in wells],
        "empty": [well.latent is None for well in wells],
        "out_of_focus": [well.out_of_focus for well in wells],
    }
    for number, name in enumerate(LATENTS):
        columns[f"latent_{name}"] = [np.nan if well.latent is None else float(well.latent[number]) for well in wells]
    return pd.DataFrame(columns)
