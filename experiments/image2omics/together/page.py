"""The page of the comparison: one table per data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_INTRODUCTION = """\
Made by `python -m experiments.image2omics.together --field FOLDER`. r is Pearson's r of a gene over the held-out bags
of a split, the mean over splits; the table gives its median over genes. Intervals (95 %) resample the held-out groups
of bags, the same ones for all rows. "above" is the difference to linear heads on the frozen backbone; its interval
lies about it. "steps": where the validation loss was least, and where it stopped; seconds are those of training,
without the pretraining, on one core of a machine that others used too."""
_COLUMNS = (
    "row",
    "median r [95 %]",
    "of seeds",
    "of splits",
    "r > .2",
    "r > .3",
    "r > .4",
    "above",
    "steps",
    "seconds",
)


def write_page(folder: Path, found: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``together.md`` and return the file."""
    file = folder / "together.md"
    file.write_text("\n".join(_lines(found)) + "\n", encoding="utf-8")
    return file


def _lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "# Trained together, or heads on a frozen backbone"
    yield _INTRODUCTION
    for setting in found:
        yield from _setting(setting)


def _setting(setting: Mapping[str, Any]) -> Iterator[str]:
    cost = setting["cost"]
    sizes = setting["test_bags"].values()
    yield ""
    yield f"## {setting['title'][:1].upper()}{setting['title'][1:]}"
    yield (
        f"{setting['bags']} bags of {setting['tiles_per_bag']:g} tiles (median), {setting['genes']} genes, "
        f"{min(sizes)} to {max(sizes)} test bags per split and target."
    )
    yield f"Pretraining: {cost['pretrain']['steps']:.0f} steps, {cost['pretrain']['seconds']:.0f} s."
    yield ""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield f"|{'---|' * len(_COLUMNS)}"
    for row in sorted(setting["rows"], key=lambda each: -each["median_r"]):
        yield _row(row, cost.get(row["row"]))
    for name, why in setting["missing"].items():
        yield f"\nWithout the baseline `{name}`: {why}"


def _row(row: Mapping[str, Any], cost: Mapping[str, float] | None) -> str:
    low, high = row["interval"]
    below, over = row["above_reference_interval"]
    cells = [
        row["row"],
        f"{row['median_r']:.3f} [{low:.3f}, {high:.3f}]",
        " ".join(f"{each:.3f}" for each in row["of_repeats"]) if len(row["of_repeats"]) > 1 else "",
        " ".join(f"{each:.3f}" for each in row["of_splits"].values()),
        *(str(each) for each in row["genes_above"].values()),
        f"{row['above_reference_by']:+.3f} [{below:+.3f}, {over:+.3f}]",
        "" if cost is None else f"{cost['best_step']:.0f} of {cost['steps']:.0f}",
        "" if cost is None else f"{cost['seconds']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"
