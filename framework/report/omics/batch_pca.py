"""Figure 9 of Image2Omics: control wells of each plate before and after batch correction, by principal components."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, SOURCE, STIMULATION
from framework.errors import InputError, did_you_mean
from framework.files.delimited import read_text_table
from framework.files.h5ad import numbers_of, read_h5ad
from framework.files.missing import MISSING
from framework.report.canvas import MARKERS, PALETTE, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs, transcripts_first
from framework.report.figures.embedding import principal
from framework.report.omics.panels import WIDTH, spoken

Floats = npt.NDArray[np.float64]
_COLOURS = (PALETTE[1], PALETTE[0], *PALETTE[2:])
"""Orange and blue first, as in the paper."""
_WHAT, _FACT = "omics of wells", "Metadata_"


class BatchPcaConfig(FigureConfig):
    """Options of ``batch_pca``."""

    batch: str = PLATE
    """Column that names the batch of a well."""
    controls: tuple[str, ...] = ()
    """Perturbations that are controls; none named: wells whose Metadata_Control_Type is ``negcon``, or all wells."""


@dataclass(frozen=True, kw_only=True)
class _Wells:
    facts: pd.DataFrame
    values: Floats
    genes: tuple[str, ...]


@FIGURES.register("batch_pca", BatchPcaConfig)
class BatchPca(FigureKind[BatchPcaConfig]):
    """PCA of controls, before and after."""

    shows = "control wells by principal components before and after batch correction, coloured by plate"
    paper = "Figure 9"
    takes = ("corrections",)
    order = 90

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw a row per stimulation: before left, after right; of a dataset a row per target."""
        panels, notes = [], []
        everyone = False
        for name, files, tables in _tables(inputs):
            states = {state: self._controls(table, files[state]) for state, table in tables.items()}
            if not self.options.controls and all(_alone(each.facts, self.options.batch) for each in states.values()):
                states, everyone = tables, True
                notes.append(f"{name or 'controls'}: no batch has two control wells of a stimulation, so all are drawn")
            notes += _dropped(name, states)
            groups = sorted(set(states["before"].facts[STIMULATION]) & set(states["after"].facts[STIMULATION]))
            if not groups:
                raise InputError(f"{files['before']} and {files['after']}: no stimulation is in both")
            panels += [
                (name, group, {state: self._scores(table, group, files[state]) for state, table in states.items()})
                for group in groups
            ]
        batch = self.options.batch
        made, axes = figure(WIDTH, 2.95 * len(panels), len(panels), 2)
        rows, shares = [], []
        for line, (name, group, parts) in zip(axes, panels, strict=True):
            told = spoken(name) if name else group
            for panel, (state, part) in zip(line, parts.items(), strict=True):
                share = _between(part, batch)
                shares.append(f"{told} {state} {share:.0%}".strip())
                _cloud(panel, part, batch, legend=state == "before")
                what = f"{told}, {state}" if told else state.capitalize()
                panel.set_title(f"{what}\n{share:.0%} between batches", fontsize=8.5)
                rows.append(part.assign(state=state, target=name))
        drawn = pd.concat(rows, ignore_index=True)
        return Drawn(
            canvas=made,
            numbers=drawn[["target", "state", STIMULATION, batch, PERTURBATION, "pc1", "pc2"]],
            title="Qualitative assessment of plate-level batch effects",
            caption=f"{'All' if everyone else 'Control'} wells by their first two principal components, each picture "
            f"with its own axes; one colour per {batch}. The title says which share of the variance of both components "
            "lies between batches. Look for plates that lie apart on the left and mix on the right.",
            alt=f"Share of variance between batches: {'; '.join(shares)}",
            notes=tuple(notes),
        )

    def _controls(self, table: _Wells, file: str) -> _Wells:
        facts = table.facts
        for name in (self.options.batch, PERTURBATION):
            if name not in facts.columns:
                # A stimulation without any text was added here.
                known = [each for each in facts.columns if each != STIMULATION or facts[each].any()]
                raise InputError(
                    f"{file}: no column '{name}'; it has {', '.join(known) or 'none that describes wells'}"
                    + did_you_mean(name, known)
                )
        if self.options.controls:
            chosen = facts[PERTURBATION].isin(self.options.controls).to_numpy()
        elif CONTROL_TYPE in facts.columns:
            chosen = (facts[CONTROL_TYPE] == "negcon").to_numpy()
        else:
            chosen = np.ones(len(facts), dtype=bool)
        if not chosen.any():
            raise InputError(f"{file}: no control well; name their perturbations with controls=[NT]")
        return _Wells(facts=facts[chosen].reset_index(drop=True), values=table.values[chosen], genes=table.genes)

    def _scores(self, table: _Wells, group: str, file: str) -> pd.DataFrame:
        """Return the facts of the wells of a stimulation, with ``pc1`` and ``pc2``."""
        mine = (table.facts[STIMULATION] == group).to_numpy()
        values = table.values[mine]
        values = values[:, np.isfinite(values).all(axis=0)]
        if len(values) < 3 or values.shape[1] < 2:
            raise InputError(
                f"{file}: {len(values)} control wells and {values.shape[1]} genes measured in all of them"
                f"{f' of {group}' if group else ''}; expected at least 3 and 2"
            )
        points = principal(values, 2)
        return table.facts[mine].reset_index(drop=True).assign(pc1=points[:, 0], pc2=points[:, 1])


def _tables(inputs: FigureInputs) -> list[tuple[str, dict[str, str], dict[str, _Wells]]]:
    """Return (target, state -> file, state -> wells): of two files, or of each target that the dataset keeps."""
    if inputs.before is not None and inputs.after is not None:
        files = {"before": str(inputs.before), "after": str(inputs.after)}
        return [("", files, {state: _read(Path(file)) for state, file in files.items()})]
    made = []
    for name in transcripts_first(inputs.kept_samples):
        file = inputs.kept_samples[name]
        data = read_h5ad(file, error=InputError, what=_WHAT, then="ingest again")
        if "before" not in data.layers:
            raise InputError(f"{file}: no layer 'before'; ingest again")
        facts, genes = _named(data.obs.astype(str).reset_index(drop=True)), tuple(map(str, data.var_names))
        values = {"before": numbers_of(data, file, "before"), "after": numbers_of(data, file)}
        tables = {state: _Wells(facts=facts, values=each, genes=genes) for state, each in values.items()}
        made.append((name, dict.fromkeys(tables, str(file)), tables))
    return made


def _read(file: Path) -> _Wells:
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected {_WHAT}, one row per well (.h5ad, .csv or .tsv)")
    if file.suffix.lower() == ".h5ad":
        data = read_h5ad(file, error=InputError, what=_WHAT, then="write it again")
        facts = data.obs.astype(str).reset_index(drop=True)
        return _Wells(facts=_named(facts), values=numbers_of(data, file), genes=tuple(data.var_names))
    table = read_text_table(file, what=_WHAT)
    genes = tuple(name for name in table.names if not name.startswith(_FACT) and _is_numeric(table.column(name)))
    facts = table.text[[name for name in table.names if name not in genes]].reset_index(drop=True)
    return _Wells(facts=_named(facts), values=table.matrix(genes), genes=genes)


def _is_numeric(column: pd.Series) -> bool:
    numbers = pd.to_numeric(column.where(~column.isin(list(MISSING)), "nan"), errors="coerce")
    return bool(numbers.notna().any())


def _named(facts: pd.DataFrame) -> pd.DataFrame:
    """Return facts with a plate and a stimulation, which a table may lack."""
    facts = facts if STIMULATION in facts.columns else facts.assign(**{STIMULATION: ""})
    return facts.assign(**{PLATE: facts[SOURCE]}) if PLATE not in facts.columns and SOURCE in facts.columns else facts


def _alone(facts: pd.DataFrame, batch: str) -> bool:
    """Whether no batch has two wells of one stimulation: then batches cannot be told from single wells."""
    return int(facts.groupby([STIMULATION, batch]).size().max()) < 2


def _between(part: pd.DataFrame, batch: str) -> float:
    """Return the share of the variance of both components that lies between batches, 0..1."""
    points = part[["pc1", "pc2"]]
    total = float(((points - points.mean()) ** 2).to_numpy().sum())
    means = points.groupby(part[batch]).transform("mean")
    return float(((means - points.mean()) ** 2).to_numpy().sum()) / total if total > 0 else 0.0


def _cloud(panel: Axes, part: pd.DataFrame, batch: str, legend: bool) -> None:
    for place, (name, rows) in enumerate(part.groupby(batch, sort=True)):
        look: dict[str, Any] = {"color": _COLOURS[place % len(_COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        panel.scatter(rows["pc1"], rows["pc2"], s=16, alpha=0.8, linewidths=0, label=shortened(name, 16), **look)
    # The empty line is where the names of the batches stand, once for both pictures of a row.
    panel.set_xlabel("principal component 1\n", fontsize=8)
    panel.set_ylabel("principal component 2", fontsize=8)
    panel.tick_params(labelsize=7)
    if legend:
        names = panel.legend(
            frameon=False,
            fontsize=7,
            handletextpad=0.1,
            columnspacing=1.0,
            ncols=4,
            loc="upper left",
            bbox_to_anchor=(-0.1, -0.17),
        )
        # Names are wider than their picture, and must not make it smaller.
        names.set_in_layout(False)


def _dropped(name: str, tables: dict[str, _Wells]) -> list[str]:
    told = []
    for state, table in tables.items():
        missing = int((~np.isfinite(table.values).all(axis=0)).sum())
        if missing:
            where = f"{name}, {state}" if name else state
            told.append(f"{where}: {missing} of {len(table.genes)} genes lack a value in a control well")
    return told
