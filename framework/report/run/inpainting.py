"""Section about paired inpainting: painted cells, and what a source of another condition costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework.evaluate.kinds import Verdict
from framework.files.json_file import read_mapping
from framework.files.npz import load_npz
from framework.report.page import Block, Grid, Note, Numbers, Section
from framework.report.page_inputs import Inputs
from framework.report.run.figures_inpainting import painted_cells
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

FOLDER, SUMMARY_NAME, PANELS_NAME = "inpainting", "inpainting.json", "panels.npz"
_AGAIN = "run wellstream inpaint again"
_FORMAT = 1
_ROWS = 40


@SECTIONS.register("inpainting", SectionConfig)
class InpaintingSection(ReportSection):
    """Painted cells."""

    order = 25

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        known = inputs.dataset.manifest.pixel_size_um if inputs.dataset is not None else None
        section = inpainting(inputs.run.root, known)
        if section is None and inputs.run.section("objective").get("name") == "paired_inpainting":
            return Note(
                text="Painted cells: none were painted yet. Paint the held-out cells:",
                command=f"wellstream inpaint {inputs.run.path_shown} --data DATASET",
            )
        return section


def inpainting(run: Path, pixel_size_um: float | None = None) -> Section | None:
    """Return losses with right and wrong sources and the painted cells; None when ``inpaint`` was not run.

    Args:
        run: run folder.
        pixel_size_um: pixel size of the dataset, for cells that were painted without it.

    Raises:
        InputError: its files cannot be read.
    """
    file = run / FOLDER / SUMMARY_NAME
    if not file.is_file():
        return None
    facts = _facts(file)
    try:
        blocks: list[Block] = [Numbers(items=_headline(facts))]
        names = [(str(row["condition"]), str(row["stranger_condition"])) for row in facts["panels"]]
        if names:
            arrays = _panels(file.with_name(PANELS_NAME))
            shown = (facts["channels"], facts["structure"], facts["protein"])
            blocks.append(painted_cells(arrays, names, *shown, _pixel_size(facts, pixel_size_um)))
        blocks.append(_table(facts["by_condition"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{file.parent}: not what wellstream inpaint writes ({type(error).__name__}: {error}); run it again"
        ) from None
    return Section(
        anchor="inpainting",
        title="Painted cells",
        lead="Does the network find the protein's pattern in the source, and carry it over to the target?",
        blocks=blocks,
    )


def painting_verdict(run: Path) -> Verdict | None:
    """Return whether a source of the right condition makes painting better; None when ``inpaint`` was not run.

    Raises:
        InputError: its file cannot be read.
    """
    file = run / FOLDER / SUMMARY_NAME
    if not file.is_file():
        return None
    facts = _facts(file)
    try:
        difference, low, high = (float(each) for each in facts["difference"])
        right, wrong = float(facts["loss"]), float(facts["loss_mismatched"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: not what wellstream inpaint writes ({error!r}); run it again") from None
    said = "is better" if low > 0 else "is worse" if high < 0 else "is no better"
    return Verdict(
        text=f"Painting {said} after a source of the same condition: squared error {right:.4g} against {wrong:.4g} "
        f"after a source of another one, difference {difference:+.3g} [{low:+.3g}, {high:+.3g}].",
        holds=low > 0,
    )


def _facts(file: Path) -> Mapping[str, Any]:
    facts = read_mapping(file, error=InputError, what="what wellstream inpaint wrote", then=_AGAIN)
    if facts.get("format") != _FORMAT:
        raise InputError(f"{file}: expected format {_FORMAT}; run wellstream inpaint again with this version")
    return facts


def _pixel_size(facts: Mapping[str, Any], known: float | None) -> float | None:
    stored = facts.get("pixel_size_um")
    return float(stored) if isinstance(stored, int | float) and stored > 0 else known


def _panels(file: Path) -> dict[str, npt.NDArray[np.floating]]:
    stored = load_npz(file, error=InputError, what="painted images (.npz)", then=_AGAIN)
    return {name: values.astype(np.float64) for name, values in stored.items()}


def _headline(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    difference, low, high = facts["difference"]
    return [
        (
            f"{facts['loss']:.4g}",
            f"squared error, source of the same condition ({facts['pairs']} cells, {facts['part']})",
        ),
        (f"{facts['loss_mismatched']:.4g}", "the same cells, source of another condition"),
        (f"{difference:+.4f}", f"the difference, 95 % interval {low:+.4f} to {high:+.4f}"),
        (f"{facts['right_is_better']:.0%}", "cells painted better after the right source"),
    ]


def _table(by_condition: Mapping[str, Mapping[str, Any]]) -> Grid:
    rows = [
        (
            name,
            str(group["pairs"]),
            f"{group['loss']:.4g}",
            f"{group['loss_mismatched']:.4g}",
            f"{group['loss_mismatched'] / group['loss']:.2f}" if group["loss"] else "–",
        )
        for name, group in sorted(by_condition.items())
    ]
    more = f" The first {_ROWS} of {len(rows)} conditions." if len(rows) > _ROWS else ""
    return Grid(
        headers=("condition", "cells", "right source", "wrong source", "ratio"),
        rows=rows[:_ROWS],
        caption="Mean squared error of the painted protein by what the target shows. A ratio near 1 means the source "
        f"is not needed there: the pattern follows from the structure alone, or was not learnt.{more}",
        numeric=frozenset({1, 2, 3, 4}),
    )
