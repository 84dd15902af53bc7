"""The page of ``make truth``: README.md with tables, and three small figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.evaluate.beside import KEY, caption, targets_beside_baselines
from framework.format import interval, number

MODALITIES = ("transcripts", "proteins")
_SHARES = ("strong genes significant", "independent genes significant")
_INTRODUCTION = """\
Made by `make truth` on a simulation: {conditions} conditions in {wells} wells of {imaging_plates} imaging plates,
{tiles} tiles (median {tiles_per_well} per well), {transcripts} transcripts and {proteins} proteins on four omics plates
each, {splits} splits by perturbation. Numbers of single genes are medians over splits; `truth.json` has all.

Of the genes 30 % follow what images show. The others vary between conditions just as much, but by effects that no image
shows. **AUROC**: the chance that a dependent gene has a smaller p (one-sided signed-rank test) than an independent one.
**r²/ceiling**: r² of a strong gene over the largest that predictions from images can be expected to reach, because
labels are means of noisy samples; median and quartiles."""
_STUDY = """\
`wellstream study`: triplet pretraining on split 0, linear heads by AdamW on cached embeddings. The one backbone was
trained on split 0, so the other splits are held out from the heads alone. The last two rows are split 0 by itself,
whose held-out wells nothing was trained on."""
_BASELINES = """\
`wellstream evaluate --baselines all` of split 0. In brackets: by how much the model is above the baseline, with the
95 % interval; bold where that does not hold 0. The median is that of all genes. Most of them follow nothing that images
show, so it is low for a perfect model too."""
_ARMS = """\
One linear head on the mean vector of a well, its penalty chosen on the validation part. The true state of the well is
what a model that reads images without error could predict from. The ImageNet backbone is EfficientNet-Lite0 with the
weights of `wellstream[imagenet]`, shown every channel alone; compare it with as many tiles of the pretrained one."""
_DEEP = """\
One more plate of the same perturbations under one stimulation, with {sites} fields in each of its {wells} wells
({tiles} tiles, median {tiles_per_well} per well), embedded by the same backbone. Labels are means of two samples, as
above; a condition has one well here."""
_SHUFFLED = """\
Share of independent genes with p < 0.05 on split 0 when images say nothing. A calibrated test gives 5 %, and its share
lies within the binomial limits in 95 % of shuffles. Shuffled across wells, each well has images of its own; across
conditions, the wells of a condition stay together, as replicates do in real data: a test that counts wells then takes
replicates for independent (`wellstream evaluate --unit condition` counts conditions). Wells that share a label make the
shares of tests per well scatter more than a binomial does, so fewer of them lie inside."""
_LOOKS = {"strong": ("#5b2a86", "o"), "weak": ("#d58fb5", "D"), "independent": ("#b5b5b5", "s")}
"""Colour and shape of the dots of a class of genes."""
_DPI = 80


def write_page(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write README.md and its figures, and return the file.

    Args:
        folder: that gets them.
        found: what ``chain.run`` returns.
    """
    _ceilings(found).savefig(folder / "ceiling.png", dpi=_DPI)
    _arms(found).savefig(folder / "effects.png", dpi=_DPI)
    _null(found).savefig(folder / "null.png", dpi=_DPI)
    file = folder / "README.md"
    file.write_text("\n".join(_lines(found)) + "\n", encoding="utf-8")
    return file


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield "# What Image2Omics finds where the answer is known"
    yield _INTRODUCTION.format(**found["sizes"])
    yield ""
    yield from _study_lines(found["study"])
    yield ""
    yield "![r2 against its ceiling](ceiling.png)"
    yield ""
    yield from _baseline_lines(found["baselines"])
    yield ""
    yield from _arm_lines(found["arms"])
    yield ""
    yield "![effects](effects.png)"
    yield ""
    if found["deep"] is not None:
        yield from _deep_lines(found["deep"])
        yield ""
    yield from _null_lines(found["null"])
    yield ""
    yield "![shuffled images](null.png)"


def _study_lines(study: Mapping[str, Any]) -> Iterator[str]:
    yield "## The study"
    yield _STUDY
    yield ""
    yield _row("", "genes", "AUROC", "of strong genes", *_SHARES, "r² of strong genes", "r²/ceiling")
    yield _row(*["---"] * 8)
    for key, name in (("over_splits", "all splits"), ("unseen_split", "split 0")):
        for modality in MODALITIES:
            yield _row(name, modality, *_cells(study[key][modality]))


def _baseline_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row per baseline, in the order of the first target, and a column per target."""
    rows, targets = found["rows"], [each["target"] for each in found["targets"]]
    scores = {(row["baseline"], row["target"]): row for row in rows}
    yield "## Beside the baselines"
    yield _BASELINES
    yield caption(found)
    yield ""
    yield _row(f"{found['score']} of", *targets)
    yield _row(*["---"] * (1 + len(targets)))
    yield _row("the model", *(number(each["model"], ".3f") for each in found["targets"]))
    for says, name in dict.fromkeys((row["says"], row["baseline"]) for row in rows):
        yield _row(says, *(_beside(scores[name, target]) for target in targets))
    yield ""
    yield from (f"- {verdict.text}" for verdict in targets_beside_baselines({KEY: found}))


def _beside(row: Mapping[str, Any]) -> str:
    told = interval(row, "difference", "+.3f", "[]")
    shown = told if row["verdict"] == "level with" else f"**{told}**"
    return f"{number(row['score'], '.3f')} ({shown})"


def _arm_lines(arms: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Effects, each with the same ridge head"
    yield _ARMS
    yield ""
    yield from _arm_table(arms)


def _deep_lines(deep: Mapping[str, Any]) -> Iterator[str]:
    yield "## Up to 512 tiles per well"
    yield _DEEP.format(**deep["sizes"])
    yield ""
    yield from _arm_table(deep["arms"])


def _arm_table(arms: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield _row("varied", "value", "genes", "AUROC", "of strong genes", *_SHARES, "r² of strong genes", "r²/ceiling")
    yield _row(*["---"] * 9)
    for arm in arms:
        for modality in MODALITIES:
            yield _row(arm["varied"], arm["value"], modality, *_cells(arm["scores"][modality]))


def _null_lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Images shuffled across wells"
    yield _SHUFFLED
    yield ""
    yield _row("shuffled across", "test", "counts", "mean share", "binomial limits", "shuffles inside")
    yield _row(*["---"] * 6)
    for entry in entries:
        low, high = entry["limits"]
        yield _row(
            entry["across"],
            {"wilcoxon": "error below that of the train mean (signed-rank)", "regression": "slope of zero (two-sided)"}[
                entry["test"]
            ],
            f"{entry['unit']}s",
            f"{entry['share']:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{entry['inside']} of {entry['shuffles']}",
        )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(scores: Mapping[str, float]) -> list[str]:
    low, high = scores["r2_over_ceiling_low"], scores["r2_over_ceiling_high"]
    return [
        f"{scores['auroc']:.3f}",
        f"{scores['auroc_strong']:.3f}",
        f"{scores['significant_strong']:.1%}",
        f"{scores['significant_independent']:.1%}",
        f"{scores['r2_strong']:.2f}",
        f"{scores['r2_over_ceiling']:.2f} ({low:.2f} to {high:.2f})",
    ]


def _ceilings(found: Mapping[str, Any]) -> Figure:
    genes = {key: np.array(values) for key, values in found["study"]["genes"].items()}
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for panel, modality in zip(figure.subplots(1, 2, sharey=True), MODALITIES, strict=True):
        for kind, (colour, marker) in _LOOKS.items():
            mine = (genes["modality"] == modality) & (genes["class"] == kind)
            look = {"color": colour, "marker": marker, "label": kind}
            panel.scatter(genes["ceiling"][mine], genes["r2"][mine], s=8, alpha=0.5, lw=0, **look)
        panel.plot([0, 1], [0, 1], color="black", lw=0.8)
        panel.set(title=modality, xlabel="noise ceiling of r²", xlim=(-0.02, 1), ylim=(-0.02, 1))
    figure.axes[0].set_ylabel("r² on held-out wells, median over splits")
    figure.axes[0].legend(frameon=False, markerscale=3)
    return figure


def _arms(found: Mapping[str, Any]) -> Figure:
    arms = found["arms"]
    names = [f"{arm['varied']}: {arm['value']}" for arm in arms]
    figure = Figure(figsize=(10, 0.3 * len(arms) + 1.2), layout="constrained")
    measures = (("auroc", "AUROC of dependent genes"), ("r2_over_ceiling", "r²/ceiling of strong genes"))
    for panel, (key, title) in zip(figure.subplots(1, 2, sharey=True), measures, strict=True):
        for modality, (colour, marker) in zip(MODALITIES, (("#5b2a86", "o"), ("#e08214", "D")), strict=True):
            values = [arm["scores"][modality][key] for arm in arms]
            panel.plot(values, range(len(arms)), marker, color=colour, label=modality, markerfacecolor="none")
        _quiet(panel, title)
    figure.axes[0].set_yticks(range(len(arms)), names)
    figure.axes[0].invert_yaxis()
    figure.axes[0].legend(frameon=False)
    return figure


def _null(found: Mapping[str, Any]) -> Figure:
    entries = found["null"]
    names = [f"{each['across']}, {each['test']} of {each['unit']}s" for each in entries]
    figure = Figure(figsize=(8, 0.3 * len(entries) + 1.2), layout="constrained")
    panel = figure.subplots()
    panel.axvspan(*entries[0]["limits"], color="#d9d9d9", label="binomial limits")
    panel.plot([each["share"] for each in entries], range(len(entries)), "o", color="#5b2a86")
    panel.set_yticks(range(len(entries)), names)
    panel.invert_yaxis()
    panel.legend(frameon=False)
    _quiet(panel, "share of independent genes with p < 0.05")
    return figure


def _quiet(panel: Axes, title: str) -> None:
    panel.set_xlabel(title)
    panel.grid(axis="x", color="#e0e0e0")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
