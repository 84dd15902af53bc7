"""``inpaint``: does the network paint the protein of the source it is shown? Losses with right and wrong sources.

A network that ignored its source, or had learnt its targets by heart, would lose nothing when the sources of another
protein are put in their place (Lu et al. 2019, S1 Figure). Every target is painted twice, so losses compare pairwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE
from framework.data.plan import MismatchedPairs, PairsPlan
from framework.durable import check_can_be_folder, write_arrays, write_json
from framework.errors import RunError
from framework.objectives import Paints
from framework.progress import OnProgress
from framework.run.apply.results import InpaintSummary
from framework.run.apply.tables import facts_of
from framework.run.train.batches import plan_of
from framework.run.train.config import Draw
from framework.run.train.opened import Application
from framework.run.train.pretrained import open_run

FORMAT_VERSION = 1
SUMMARY_NAME, PANELS_NAME = "inpainting.json", "panels.npz"
Floats = npt.NDArray[np.float32]


@dataclass(kw_only=True)
class Painted:
    """What a walk over all pairs leaves: one loss per target and source, and the images of a few targets.

    Attributes:
        condition: name of what each target shows.
        right: mean squared error of each target with its own source.
        wrong: with a source of another condition.
        panels: name of an array -> one image per row.
        rows: facts of each panel.
    """

    condition: list[str] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    wrong: list[float] = field(default_factory=list)
    panels: dict[str, list[Floats]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


def inpaint(
    run: Path | str,
    data: Path | str | None = None,
    out: Path | str | None = None,
    part: str = "test",
    panels: int = 8,
    progress: OnProgress | None = None,
    *,
    device: str | None = None,
) -> InpaintSummary:
    """Paint every cell of a part after a source of its own protein and after one of another; write losses and panels.

    The pairs are those of the first epoch of the run's plan under a seed of its own, so equal runs give equal numbers.

    Args:
        run: run folder of paired inpainting; its best or newest checkpoint and its own scaling are used.
        data: dataset folder; None: the one the run trained on.
        out: folder that gets ``inpainting.json`` and ``panels.npz``; None: ``inpainting`` inside the run, where the
            report looks.
        part: ``train``, ``val``, ``test`` or ``all``; for another dataset than the run's only ``all``.
        panels: at most so many conditions are shown as images, one target each.
        progress: called with (stage, done, total).
        device: ``auto``, ``cpu`` or ``cuda``; None: that of the run's config.

    Returns:
        What was found.

    Raises:
        ConfigError: an argument out of range.
        RunError: a run of another objective, or a part without two conditions.
    """
    opened = open_run(run, device=device)
    objective = opened.having(Paints)
    on = opened.on(data, part)
    plan = plan_of(opened.config, on.dataset, on.parts, part, objective, {}, Draw.VALIDATION)
    if not isinstance(plan, PairsPlan):
        raise RunError(f"{run}: its plan gives no pairs; inpaint needs a run with plan: {{name: pairs}}")
    folder = opened.folder.root / "inpainting" if out is None else Path(out)
    check_can_be_folder(folder)
    painted = _paint(on, objective, plan, panels, progress)
    summary = {"format": FORMAT_VERSION, "part": part, **_losses(painted), "panels": painted.rows}
    summary["pixel_size_um"] = on.dataset.manifest.pixel_size_um
    summary["channels"] = list(opened.scale.channels)
    summary["structure"] = list(objective.given)
    summary["protein"] = list(objective.painted)
    summary["wellstream"] = facts_of(on, "inpainting")
    _write(folder, summary, painted)
    return InpaintSummary(
        folder=folder,
        part=part,
        pairs=summary["pairs"],
        loss=summary["loss"],
        loss_mismatched=summary["loss_mismatched"],
        ratio=summary["ratio"],
        right_is_better=summary["right_is_better"],
        step=opened.step,
    )


def _paint(on: Application, objective: Paints, plan: PairsPlan, panels: int, progress: OnProgress | None) -> Painted:
    """Walk over all pairs of an epoch, once with their own sources and once with strangers; targets are the same."""
    found = Painted()
    names = _conditions(on.dataset, on.run.config.plan.grouped_by)
    for right, wrong in zip(on.batches(plan), on.batches(MismatchedPairs(plan)), strict=True):
        target = right.tiles[:, 1]
        with on.computing():
            both = [objective.inpaint(batch.tiles[:, 0], target).float() for batch in (right, wrong)]
        truth = objective.truth(target)
        errors = [(painted - truth).square().mean(dim=(1, 2, 3)).double().cpu().tolist() for painted in both]
        for row in np.flatnonzero((right.weights > 0).cpu().numpy()).tolist():
            name = names[int(right.bags[row])]
            if len(found.rows) < panels and all(shown["condition"] != name for shown in found.rows):
                images = {"source": right.tiles[row, 0], "stranger": wrong.tiles[row, 0], "target": target[row]}
                images |= {"painted": both[0][row], "painted_after_stranger": both[1][row]}
                stranger = int(wrong.tile_ids[row, 0])
                _keep(found, images, name, names[int(on.dataset.index.bag[stranger])], right.tile_ids[row], stranger)
            found.condition.append(name)
            found.right.append(errors[0][row])
            found.wrong.append(errors[1][row])
        if progress:
            progress("inpaint", right.step + 1, plan.steps_per_epoch)
    return found


def _keep(
    found: Painted, images: dict[str, torch.Tensor], name: str, stranger_name: str, tiles: torch.Tensor, stranger: int
) -> None:
    for key, image in images.items():
        found.panels.setdefault(key, []).append(image.float().cpu().numpy())
    source, target = (int(tile) for tile in tiles)
    found.rows.append(
        {
            "condition": name,
            "source": source,
            "target": target,
            "stranger": stranger,
            "stranger_condition": stranger_name,
        }
    )


def _losses(painted: Painted) -> dict[str, Any]:
    """Return mean losses over all pairs and by condition, and the paired difference with its 95 % interval."""
    right, wrong = np.asarray(painted.right), np.asarray(painted.wrong)
    difference = wrong - right
    mean = float(difference.mean())
    half = 1.96 * float(difference.std(ddof=1)) / len(right) ** 0.5
    conditions = np.asarray(painted.condition)
    by_condition = {
        name: {
            "pairs": int((conditions == name).sum()),
            "loss": float(right[conditions == name].mean()),
            "loss_mismatched": float(wrong[conditions == name].mean()),
        }
        for name in sorted(set(painted.condition))
    }
    return {
        "pairs": len(right),
        "loss": float(right.mean()),
        "loss_mismatched": float(wrong.mean()),
        "ratio": float(wrong.mean() / right.mean()),
        "difference": [mean, mean - half, mean + half],
        "right_is_better": float((difference > 0).mean()),
        "by_condition": by_condition,
    }


def _conditions(dataset: Dataset, by: tuple[str, ...]) -> list[str]:
    """Return the name of each bag's condition; without ``by`` the bag's own."""
    columns = list(by or (SOURCE, BAG))
    return dataset.bags[columns].astype(str).agg(" / ".join, axis=1).tolist()


def _write(folder: Path, summary: dict[str, Any], painted: Painted) -> None:
    """Write the images, then the summary that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY_NAME).unlink(missing_ok=True)
    write_arrays(folder / PANELS_NAME, {name: np.stack(images) for name, images in painted.panels.items()})
    write_json(folder / SUMMARY_NAME, summary)
