"""Labels for imaging wells from omics wells that are other replicates of the same condition.

Image2Omics, Methods: group by (perturbation, stimulation), draw two omics wells at random, average them, and give that
vector to every imaging well of the group; each imaging plate gets a draw of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd

from data_tools.omics.cautions import cautions
from data_tools.omics.config import OmicsConfig
from data_tools.omics.earlier_fit import earlier_fit
from data_tools.omics.normalise import Normalised, normalise
from data_tools.omics.table import OmicsTable, read_omics
from data_tools.shards import random_order
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL
from framework.errors import InputError, did_you_mean
from framework.files.names import plain, safe_names

_SHOWN = 5
_SCALES = {"counts": "log2(count / size factor + 1)", "log2": "log2, as in the table", "prepared": "as in the table"}
_OF_INTENSITIES = {"vsn": "log2, as arsinh(a + b x) of vsn", "median": "log2, samples centred on medians"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of the dataset.

    Attributes:
        name: ``<omics name>_<stimulation>``.
        data: bags x genes, see ``build_targets``.
        samples: samples x genes of the omics table: ``X`` after the effects of batches were taken out, layer ``before``
            without that; float32, log2 scale. ``obs`` has plate, condition, control type and batches of each.
        without_images: (perturbation, stimulation) that have omics but no imaged well.
        without_omics: (perturbation, stimulation) that have imaged wells but no omics.
        notes: what is to be said of its normalisation.
    """

    name: str
    data: anndata.AnnData
    samples: anndata.AnnData
    without_images: tuple[tuple[str, str], ...]
    without_omics: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def build_targets(config: OmicsConfig, bags: pd.DataFrame, seed: int, table: OmicsTable | None = None) -> list[Target]:
    """Return a target for each stimulation of an omics table that has imaged wells.

    Args:
        config: the table.
        bags: bags.parquet.
        seed: seed of the draws.
        table: what ``read_omics`` gave; None to read it here.

    Returns:
        Targets in order of their stimulation. ``X`` is float32 (bags with omics, genes kept), log2 scale; ``obs`` has
        ``bag``, the Metadata columns and ``omics_samples``, the samples averaged; ``var`` has ``share_seen``,
        the share that the filter compared (of the plate that decides); ``uns`` says how the values came about, which
        genes were dropped, and how many are too low on each plate.

    Raises:
        InputError: a bad table, or not one condition in common with the plates.
    """
    table = read_omics(config) if table is None else table
    usable, stimulation_of = _usable(config, bags)
    imaged = set(zip(usable[PERTURBATION], stimulation_of, strict=True))
    measured = set(zip(table.perturbation, table.stimulation, strict=True))
    if not imaged & measured:
        raise InputError(nothing_in_common(config, imaged, table))
    targets = []
    for stimulation, name in target_names(config, table, imaged).items():
        of_here = {pair for pair in imaged | measured if pair[1] == stimulation}
        part = table.rows(table.stimulation == stimulation)
        normalised = _normalised(config, part, stimulation, name)
        wells = usable[stimulation_of == stimulation]
        said = (*normalised.notes, *cautions(config, part, normalised, wells))
        targets.append(
            Target(
                name=name,
                data=_target(config, part, normalised, wells, stimulation, seed),
                samples=_samples(part, normalised, wells),
                notes=tuple(f"target '{name}': {note}" for note in said),
                without_images=tuple(sorted((of_here & measured) - imaged)),
                without_omics=tuple(sorted((of_here & imaged) - measured)),
            )
        )
    return targets


def target_names(config: OmicsConfig, table: OmicsTable, imaged: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return the name of the target of each stimulation that has an imaged condition, in order.

    Args:
        config: the table.
        table: what ``read_omics`` gave.
        imaged: (perturbation, stimulation) of imaged wells; where the table names no stimulation, that is ``none``.
    """
    names = safe_names(sorted(set(table.stimulation)))
    shared = set(imaged) & set(zip(table.perturbation, table.stimulation, strict=True))
    there = {stimulation for _, stimulation in shared}
    return {
        stimulation: config.name if config.stimulation is None else f"{config.name}_{name}"
        for stimulation, name in names.items()
        if stimulation in there
    }


def nothing_in_common(config: OmicsConfig, imaged: Collection[tuple[str, str]], table: OmicsTable) -> str:
    """Return the sentence on a table without any condition of the plates."""
    measured = set(zip(table.perturbation, table.stimulation, strict=True))
    other = sorted(imaged)
    near = did_you_mean(_shown(min(measured)), [_shown(pair) for pair in other])
    return (
        f"{config.table}: not one (perturbation, stimulation) in common with the plates; the table has "
        f"{_listed(measured)}, the plate maps {_listed(set(other)) or 'none'}{near}; make the names equal"
    )


def join_notes(config: OmicsConfig, table: OmicsTable, bags: pd.DataFrame) -> tuple[str, ...]:
    """Return what matched and what did not, of both sides: conditions, wells, samples; examples of what did not."""
    usable, stimulation_of = _usable(config, bags)
    of_wells = list(zip(usable[PERTURBATION], stimulation_of, strict=True))
    of_samples = list(zip(table.perturbation, table.stimulation, strict=True))
    imaged, measured = set(of_wells), set(of_samples)
    both = imaged & measured
    notes = [
        f"omics '{config.name}': {len(both)} of {len(measured)} conditions of {config.table} and {len(both)} of "
        f"{len(imaged)} imaged conditions match; {sum(pair in both for pair in of_wells)} of {len(of_wells)} wells "
        f"have labels, from {sum(pair in both for pair in of_samples)} of {len(of_samples)} samples"
    ]
    for alone, what in ((measured - both, "no imaged well"), (imaged - both, "no omics sample")):
        if alone:
            notes.append(f"omics '{config.name}': {len(alone)} conditions have {what}: {_listed(alone)}")
    by_form = {_spelling(pair): pair for pair in sorted(imaged - both)}
    for pair in sorted(measured - both):
        near = by_form.get(_spelling(pair))
        if near is not None:
            notes.append(
                f"omics '{config.name}': '{_shown(pair)}' of the table and '{_shown(near)}' of the plate map differ in "
                "spelling alone; if they are one condition, make them equal"
            )
    return (*table.notes, *notes)


def _usable(config: OmicsConfig, bags: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[str]]:
    """Return the wells that may have labels, and the stimulation the table would give them."""
    usable = bags[bags[CONTROL_TYPE] != "empty"]
    stimulation_of = usable[STIMULATION].astype(object)
    if config.stimulation is None:
        stimulation_of[:] = "none"
    return usable, stimulation_of


def _shown(pair: tuple[str, str]) -> str:
    return f"{pair[0]}/{pair[1]}"


def _listed(pairs: set[tuple[str, str]]) -> str:
    names = [_shown(pair) for pair in sorted(pairs)]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _spelling(pair: tuple[str, str]) -> tuple[str, ...]:
    """A form that names share which differ in case, blanks, what nobody sees, leading zeros or a decimal of zero."""
    found = []
    for text in pair:
        text = re.sub(r"[\s_-]+", "", plain(text)).lower()
        text = re.sub(r"^0+(?=\d)", "", text)
        found.append(re.sub(r"^(\d+)\.0+$", r"\1", text))
    return tuple(found)


def draw_samples(
    samples: list[str], wanted: int, seed: int, name: str, plate: str, perturbation: str, stimulation: str
) -> list[int]:
    """Return which of the (sorted) samples of a condition label an imaging plate: positions, ascending."""
    order = random_order(len(samples), seed, "omics", name, plate, perturbation, stimulation)
    return sorted(int(index) for index in order[:wanted])


def _normalised(config: OmicsConfig, part: OmicsTable, stimulation: str, target: str) -> Normalised:
    protect = part.perturbation if config.design == "condition" else None
    try:
        earlier = config.vsn_from
        return normalise(
            part.values,
            kind=config.kind,
            plate=part.plate,
            batches=part.batches,
            covariates=part.covariates,
            condition=protect,
            min_share=config.min_share,
            expressed_in=config.expressed_in,
            method=config.method,
            trimmed=config.trimmed,
            names=[f"sample '{name}'" for name in part.sample],
            fit=None if earlier is None else earlier_fit(earlier, target, stimulation, part.genes),
        )
    except InputError as error:
        raise InputError(f"{config.table}: stimulation '{stimulation}': {error}") from None


def _target(
    config: OmicsConfig, part: OmicsTable, normalised: Normalised, bags: pd.DataFrame, stimulation: str, seed: int
) -> anndata.AnnData:
    labels: dict[tuple[str, str], tuple[np.ndarray, str]] = {}
    order = np.argsort(part.sample.astype(str), kind="stable")
    rows, used, vectors = [], [], []
    for index, (plate, perturbation) in enumerate(zip(bags[PLATE], bags[PERTURBATION], strict=True)):
        mine = order[part.perturbation[order] == perturbation]
        if not len(mine):
            continue
        key = (plate, perturbation)
        if key not in labels:
            names = [str(part.sample[row]) for row in mine]
            chosen = draw_samples(names, config.wells_per_label, seed, config.name, plate, perturbation, stimulation)
            labels[key] = (_mean(normalised.values[mine[chosen]]), ";".join(names[i] for i in chosen))
        rows.append(index)
        vectors.append(labels[key][0])
        used.append(labels[key][1])
    obs = bags.iloc[rows][["bag", PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE]].reset_index(drop=True)
    obs = obs.assign(omics_samples=used)
    obs.index = pd.Index([f"{plate}:{well}" for plate, well in zip(obs[PLATE], obs[WELL], strict=True)])
    genes = [gene for gene, keep in zip(part.genes, normalised.kept, strict=True) if keep]
    var = pd.DataFrame({"share_seen": normalised.share[normalised.kept]}, index=pd.Index(genes))
    return anndata.AnnData(
        X=np.stack(vectors).astype(np.float32), obs=obs, var=var, uns=_facts(config, part, normalised, stimulation)
    )


def _samples(part: OmicsTable, normalised: Normalised, bags: pd.DataFrame) -> anndata.AnnData:
    control = dict(zip(bags[PERTURBATION], bags[CONTROL_TYPE], strict=True))
    facts = {
        "sample": part.sample.astype(str),
        PLATE: part.plate.astype(str),
        PERTURBATION: part.perturbation.astype(str),
        STIMULATION: part.stimulation.astype(str),
        CONTROL_TYPE: [str(control.get(name, "treatment")) for name in part.perturbation],
    }
    further = {name: levels.astype(str) for name, levels in part.batches.items()} | part.covariates
    obs = pd.DataFrame(facts | {name: values for name, values in further.items() if name not in facts})
    obs.index = pd.Index([f"sample-{row}" for row in range(len(obs))])
    genes = pd.Index([gene for gene, keep in zip(part.genes, normalised.kept, strict=True) if keep])
    before = {"before": normalised.before.astype(np.float32)}
    return anndata.AnnData(normalised.values.astype(np.float32), obs, pd.DataFrame(index=genes), layers=before)


def _mean(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a gene measured in none of the samples stays NaN
        return np.asarray(np.nanmean(values, axis=0))


def _facts(config: OmicsConfig, part: OmicsTable, normalised: Normalised, stimulation: str) -> dict[str, object]:
    dropped = [gene for gene, keep in zip(part.genes, normalised.kept, strict=True) if not keep]
    return {
        "wellstream": {
            "kind": "target",
            "omics": config.name,
            "values": config.kind,
            "stimulation": stimulation,
            "scale": _SCALES.get(config.kind) or _OF_INTENSITIES[config.method],
            "plate_effect": normalised.effect,
            "batches": np.array([*part.batches], dtype=object),
            "covariates": np.array([*part.covariates], dtype=object),
            "design": config.design,
            "min_share": config.min_share,
            "expressed_in": config.expressed_in,
            "filtered_plates": np.array([plate or "all" for plate in normalised.low_on], dtype=object),
            "low_genes": np.array(list(normalised.low_on.values()), dtype=np.int64),
            "wells_per_label": config.wells_per_label,
            "dropped_genes": np.array(dropped, dtype=object),
            "samples": part.sample.astype(object),
            "factors": normalised.factors,
            **({} if normalised.vsn is None else {"vsn": normalised.vsn.plain()}),
        }
    }
