"""What profiles retrieve: replicates, classes and batches, as one evaluation of kind ``retrieval``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from framework.config import StrictModel, UniqueNames
from framework.errors import InputError
from framework.evaluate.copies import copies
from framework.evaluate.evaluation import Evaluation, write_evaluation
from framework.evaluate.significance import benjamini_hochberg
from framework.files.outputs import check_output_folder
from framework.format import count_of
from framework.profiles.aggregate import combined
from framework.profiles.average_precision import average_precision, cosine, mean_average_precision
from framework.profiles.batch_scores import batch_scores
from framework.profiles.matching import Matches, interval_over, match_classes
from framework.profiles.replicates import replicate_correlation
from framework.profiles.table import ProfileTable, control_rows, need_finite, open_profiles

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]
_CONTROL = "(control)"


class RetrieveConfig(StrictModel):
    """Options of ``retrieve``."""

    treatment: UniqueNames = Field(default=("Metadata_Perturbation",), min_length=1)
    """Columns whose values are equal in replicates, such as compound and concentration. The first one is the
    compound."""
    label: str | None = None
    """Column with the class of a treatment, such as its mechanism of action; without it classes are not scored."""
    batch: str | None = None
    """Column with the batch (week, plate, laboratory); without it there is no NSB and no score of batches."""
    plate: str = "Metadata_Plate"
    """Column with the plate; if it exists, replicates are ranked among controls of their own plate."""
    to: str = "negcon"
    """Which rows are controls: a control type, or ``COLUMN=VALUE,VALUE``."""
    how: str = Field(default="median", pattern="^(mean|median|trimmed)$")
    """How the wells of a treatment become one profile: mean, median or trimmed."""
    permutations: int = Field(default=10_000, ge=100)
    """Number of permutations for each p."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """False discovery rate below which a treatment counts as found."""
    resamples: int = Field(default=2_000, ge=100)
    """Number of bootstrap samples over compounds, for each interval."""
    seed: int = Field(default=0, ge=0)
    """Seed of the permutations and of the scores of batch mixing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Wells:
    """Treated wells, control wells, and one profile per treatment."""

    values: Floats
    treatment: Names
    compound: Names
    plate: Names
    controls: Floats
    control_plate: Names
    profiles: Floats
    names: Names
    compounds: Names
    labels: Names | None
    batches: Names | None


def retrieve(source: Path | str | anndata.AnnData, config: RetrieveConfig, out: Path | str | None = None) -> Evaluation:
    """Score profiles of wells by what they retrieve.

    Args:
        source: profiles of wells, normalised; see ``open_profiles``.
        config: columns and rules.
        out: folder to write the evaluation to; None: nowhere.

    Returns:
        An evaluation of kind ``retrieval``: one row per score (``score``, ``value``, ``value_low``, ``value_high``,
        ``n``, ``chance``, ``means``); tables ``treatments`` (one row per treatment: average precision with p and q,
        replicate correlation, nearest neighbours), ``classes``, and ``batches`` where a batch is named.

    Raises:
        InputError: a file that cannot be read, columns or controls that are not there, or values that are not finite.
    """
    if out is not None:
        check_output_folder(out)
    table = open_profiles(source)
    need_finite(table, table.values, table.features)
    controls = control_rows(table, config.to)
    if controls.all():
        raise InputError(f"{table.name}: all {len(controls)} rows are controls ({config.to}), so nothing is retrieved")
    wells = _wells(table, config, controls)
    rows, treatments = _of_replicates(wells, config)
    notes = copies(table.values, table.obs.index, "wells")
    tables: dict[str, pd.DataFrame] = {}
    if wells.labels is not None:
        more, columns, ties = _of_classes(wells, config)
        rows += more
        notes += ties
        treatments = treatments.join(columns)
        tables["classes"] = _per_class(treatments)
    if config.batch is not None and config.label is not None:
        label = np.where(controls, _CONTROL, table.column(config.label))
        scores = batch_scores(table.values, table.keys([config.batch]), label, config.seed)
        tables["batches"] = pd.DataFrame({"score": list(scores), "value": list(scores.values())})
        rows += [_row(name, scores[name], len(controls), means=_BATCH[name]) for name in _BATCH]
    tables["treatments"] = treatments.reset_index(names="treatment")
    evaluation = Evaluation(kind="retrieval", summary=_summary(table, config, rows, wells, notes), tables=tables)
    if out is not None:
        write_evaluation(out, evaluation)
    return evaluation


_BATCH = {
    "mixing": "batches are mixed (three scores of scib, 0..1)",
    "kept": "classes are kept apart (three scores of scib, 0..1)",
    "total": "0.4 mixing + 0.6 kept",
}


def _wells(table: ProfileTable, config: RetrieveConfig, controls: Mask) -> _Wells:
    treated = ~controls
    part = ProfileTable(
        name=table.name,
        obs=table.obs[treated],
        features=table.features,
        values=table.values[treated],
        uns={},
    )
    treatment = part.keys(config.treatment)
    names, first, place = np.unique(treatment.astype(str), return_index=True, return_inverse=True)
    compound = part.column(config.treatment[0])
    plates = table.column(config.plate) if config.plate in table.obs.columns else np.full(len(treated), "", object)
    return _Wells(
        values=part.values,
        treatment=treatment,
        compound=compound,
        plate=plates[treated],
        controls=table.values[controls],
        control_plate=plates[controls],
        profiles=combined(part.values, place.ravel().astype(np.int64), config.how),
        names=names.astype(object),
        compounds=compound[first],
        labels=None if config.label is None else part.column(config.label)[first],
        batches=None if config.batch is None else _of_treatments(part.keys([config.batch]), place.ravel(), len(names)),
    )


def _of_treatments(values: Names, place: npt.NDArray[np.int64], count: int) -> Names:
    """Return the batches of each treatment, as a set of names."""
    found: list[set[str]] = [set() for _ in range(count)]
    for each, value in zip(place.tolist(), values.tolist(), strict=True):
        found[each].add(str(value))
    result = np.empty(count, dtype=object)
    result[:] = [frozenset(each) for each in found]
    return result


def _of_replicates(wells: _Wells, config: RetrieveConfig) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return rows of the summary, and the table of treatments with what is known of their replicates."""
    n = len(wells.values)
    similar = cosine(np.concatenate([wells.values, wells.controls]))[:n]
    same = wells.treatment[:, None] == wells.treatment[None, :]
    np.fill_diagonal(same, False)
    near = wells.plate[:, None] == wells.control_plate[None, :]
    lonely = ~near.any(axis=1)
    near[lonely] = True
    none = np.zeros((n, len(wells.controls)), dtype=np.bool_)
    positive, negative = np.concatenate([same, none], 1), np.concatenate([np.zeros_like(same), near], 1)
    found = average_precision(similar, positive, negative)
    activity = mean_average_precision(found, wells.treatment, config.permutations, config.seed)
    other = wells.compound[:, None] != wells.compound[None, :]
    against = average_precision(similar[:, :n], same, other)
    distinct = mean_average_precision(against, wells.treatment, config.permutations, config.seed)
    correlation = replicate_correlation(wells.values, wells.treatment, wells.compound)
    table = pd.DataFrame(index=pd.Index(wells.names))
    table["compound"] = wells.compounds
    table["n_wells"] = [int((wells.treatment == name).sum()) for name in wells.names]
    for kind, scored in (("activity", activity), ("distinct", distinct)):
        table[f"map_{kind}"] = [scored.get(name, (np.nan,) * 3)[0] for name in wells.names]
        table[f"p_{kind}"] = [scored.get(name, (np.nan,) * 3)[1] for name in wells.names]
        table[f"q_{kind}"] = benjamini_hochberg(table[f"p_{kind}"].to_numpy(dtype=np.float64))
    table["replicate_r"] = [correlation.of_treatment.get(name, np.nan) for name in wells.names]
    rows = [
        _mean(table, "map_activity", "mAP activity", "replicates ranked before controls of their plate", config),
        _share(table, "q_activity", "active", f"treatments with q < {config.alpha:g} against controls", config),
        _mean(table, "map_distinct", "mAP distinct", "replicates ranked before other compounds", config),
        _share(
            table, "q_distinct", "distinct", f"treatments with q < {config.alpha:g} against other compounds", config
        ),
        _mean(table, "replicate_r", "replicate r", "median Pearson r of the wells of a treatment", config),
        _row(
            "replicating",
            correlation.replicating,
            len(correlation.of_treatment),
            chance=0.05,
            means="treatments whose r is above that of 95 % of unrelated wells"
            + ("" if np.isnan(correlation.threshold) else f" ({correlation.threshold:.2f})"),
        ),
    ]
    return rows, table


def _of_classes(wells: _Wells, config: RetrieveConfig) -> tuple[list[dict[str, Any]], pd.DataFrame, list[str]]:
    """Return rows of the summary, columns of treatments (class, neighbours, consistency of the class), and notes."""
    labels = np.asarray(wells.labels, dtype=object)
    similar = cosine(wells.profiles)
    other = wells.compounds[:, None] != wells.compounds[None, :]
    table = pd.DataFrame({"class": labels}, index=pd.Index(wells.names))
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    rules = [("NSC", other, "nearest profile of another compound has the class")]
    if wells.batches is not None:
        apart = np.array([[not (a & b) for b in wells.batches] for a in wells.batches], dtype=np.bool_)
        rules.append(("NSB", other & apart, "nearest profile of another compound and batch has the class"))
    for name, allowed, means in rules:
        found = match_classes(similar, labels, allowed)
        table[f"{name}_nearest"] = np.where(found.nearest >= 0, wells.names[found.nearest], "")
        table[f"{name}_class"] = np.where(found.nearest >= 0, labels[found.nearest], "")
        table[f"{name}_hit"] = np.where(found.counts, found.hit.astype(np.float64), np.nan)
        rows.append(_matched(name, found, table, wells.compounds, means, config))
        if found.tied:
            notes.append(
                f"{name}: {count_of(found.tied, 'treatment')} with several nearest profiles, equally similar and of "
                "different classes; the first by name was taken"
            )
    same = (labels[:, None] == labels[None, :]) & (labels != "")[:, None] & other
    precision = average_precision(similar, same, (labels[:, None] != labels[None, :]) & (labels != "")[None, :])
    scored = mean_average_precision(precision, wells.names, config.permutations, config.seed)
    table["map_class"] = [scored.get(name, (np.nan,) * 3)[0] for name in wells.names]
    table["p_class"] = [scored.get(name, (np.nan,) * 3)[1] for name in wells.names]
    table["q_class"] = benjamini_hochberg(table["p_class"].to_numpy(dtype=np.float64))
    with_units = table.assign(compound=wells.compounds)
    means = "profiles of a class ranked before other classes"
    return [*rows, _mean(with_units, "map_class", "mAP class", means, config)], table, notes


def _matched(
    name: str, found: Matches, table: pd.DataFrame, units: Names, means: str, config: RetrieveConfig
) -> dict[str, Any]:
    low, high = interval_over(table[f"{name}_hit"].to_numpy(dtype=np.float64), units, config.resamples, config.seed)
    return _row(name, found.accuracy, int(found.counts.sum()), low, high, found.chance, means)


def _mean(table: pd.DataFrame, column: str, score: str, means: str, config: RetrieveConfig) -> dict[str, Any]:
    values = table[column].to_numpy(dtype=np.float64)
    known = values[~np.isnan(values)]
    low, high = interval_over(values, table["compound"].to_numpy(dtype=object), config.resamples, config.seed)
    return _row(score, float(known.mean()) if len(known) else float("nan"), len(known), low, high, means=means)


def _share(table: pd.DataFrame, column: str, score: str, means: str, config: RetrieveConfig) -> dict[str, Any]:
    q = table[column].to_numpy(dtype=np.float64)
    found = pd.DataFrame({"found": np.where(np.isnan(q), np.nan, q < config.alpha), "compound": table["compound"]})
    return _mean(found, "found", score, means, config)


def _row(
    score: str,
    value: float,
    n: int,
    low: float = float("nan"),
    high: float = float("nan"),
    chance: float = float("nan"),
    means: str = "",
) -> dict[str, Any]:
    return {
        "score": score,
        "value": value,
        "value_low": low,
        "value_high": high,
        "n": n,
        "chance": chance,
        "means": means,
    }


def _per_class(treatments: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in ("NSC_hit", "NSB_hit", "map_class") if name in treatments.columns]
    grouped = treatments[treatments["class"] != ""].groupby("class", sort=True)
    table = grouped[columns].mean()
    table.insert(0, "treatments", grouped.size())
    table.insert(1, "compounds", grouped["compound"].nunique())
    return table.reset_index()


def _summary(
    table: ProfileTable, config: RetrieveConfig, rows: list[dict[str, Any]], wells: _Wells, told: list[str]
) -> Mapping[str, Any]:
    notes = [*told]
    if config.label is None:
        notes.append("no class was named (label), so neither NSC nor the mAP of classes is there")
    elif config.batch is None:
        notes.append("no batch was named (batch), so neither NSB nor the scores of batches are there")
    lonely = sorted(set(wells.plate.tolist()) - set(wells.control_plate.tolist()))
    if lonely:
        notes.append(f"{len(lonely)} plates have no control; their wells are ranked among the controls of all plates")
    return {
        "options": config.plain(),
        "file": Path(table.name).name,
        "wells": len(wells.values),
        "controls": len(wells.controls),
        "treatments": len(wells.names),
        "compounds": len(set(wells.compounds.tolist())),
        "rows": rows,
        "notes": notes,
    }
