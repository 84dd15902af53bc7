"""Section about what did not become part of the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from framework.data.dataset import Dataset
from framework.format import count
from framework.report.kept_figures import kept_index
from framework.report.page import Block, Grid, Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_SKIPPED_ROWS = 100
_NOTES = 20


@SECTIONS.register("skipped", SectionConfig)
class SkippedSection(ReportSection):
    """What ingest left out."""

    order = 80

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        return skipped(inputs.dataset) if inputs.dataset is not None else None


def skipped(dataset: Dataset, *, notes: bool = True) -> Section | None:
    """Return what ingest left out (raw input, conditions with images or omics alone), and its notes; None without.

    Args:
        dataset: the dataset.
        notes: whether its notes are shown; a page that lists them elsewhere does not repeat them.
    """
    blocks: list[Block] = []
    if dataset.manifest.skipped:
        blocks.append(_skipped_table(dataset))
    targets = kept_index(dataset).get("targets", {})
    labels = _label_table(targets) if isinstance(targets, Mapping) and targets else None
    if labels is not None:
        blocks.append(labels)
    title, lead = "Left out", "What did not become part of the dataset, and why?"
    if not blocks:
        title, lead = "Input", "What was joined, and what was chosen?"
    kept = kept_index(dataset).get("notes", []) if notes else []
    blocks += [Note(text=str(note)) for note in kept[:_NOTES]]
    if not blocks:
        return None
    return Section(anchor="skipped", title=title, lead=lead, blocks=blocks)


def _skipped_table(dataset: Dataset) -> Grid:
    left_out = dataset.manifest.skipped
    reasons = pd.Series([item.reason for item in left_out]).value_counts()
    rows = [
        (item.source, item.bag, "" if item.site is None else str(item.site), item.reason.replace("_", " "), item.detail)
        for item in left_out[:_SKIPPED_ROWS]
    ]
    told = ", ".join(f"{n} × {str(reason).replace('_', ' ')}" for reason, n in reasons.items())
    rest = f" The first {_SKIPPED_ROWS} of {len(left_out)}; all are in dataset.json."
    return Grid(
        headers=("source", "bag", "site", "reason", "detail"),
        rows=rows,
        caption=f"{told}.{rest if len(left_out) > _SKIPPED_ROWS else ''} Check that what is missing is what you "
        f"expected "
        "to be missing.",
    )


def _label_table(targets: Mapping[str, Any]) -> Grid | None:
    """Return what the omics tables and the plates do not share; None when the index is of another form."""
    keys = ("bags", "genes", "dropped_genes", "without_images", "without_omics")
    known = {name: facts for name, facts in targets.items() if isinstance(facts, Mapping) and set(keys) <= set(facts)}
    rows = [
        (
            str(name),
            *(count(facts[key]) for key in keys[:3]),
            ", ".join(f"{plate} {count(low)}" for plate, low in facts.get("low_on", {}).items()),
            *(count(len(facts[key])) for key in keys[3:]),
        )
        for name, facts in sorted(known.items())
    ]
    if not rows:
        return None
    return Grid(
        headers=(
            "target",
            "wells",
            "genes",
            "genes dropped",
            "too low on",
            "conditions without images",
            "without omics",
        ),
        rows=rows,
        numeric=frozenset({1, 2, 3, 5, 6}),
        caption="Omics targets: genes dropped for low expression, how many are too low on each plate, and conditions "
        "that only one side has. A plate with far more low genes than the others has probably failed. Names of "
        "perturbations that differ between plate map and omics table show up here.",
    )
