"""``inpaint``: does the network paint the protein of the source it is shown? Losses with right and wrong sources.

A network that ignored its source, or had learnt its targets by heart, would lose nothing when the sources of another
protein are put in their place (Lu et al. 2019, S1 Figure). Every target is painted twice, so losses compare pairwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framework.data.batch import Batch, fetched
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE
from framework.data.plan import MismatchedPairs, PairsPlan
from framework.distributed import Ranks
from framework.durable import replacing_files, write_arrays, write_json
from framework.errors import RunError
from framework.files.outputs import check_output_folder
from framework.objectives import Paints
from framework.progress import OnProgress
from framework.run.apply.results import InpaintSummary
from framework.run.apply.sharing import Walk, by_rank_0, computed, counted_rows, on_rank_0
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
    """What a walk over all pairs leaves, or a step of it: one loss per target and source, images of a few targets.

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

    def add(self, step: Painted, panels: int) -> None:
        """Add what the next step found; of its images those of conditions that are new, as long as ``panels`` last."""
        self.condition += step.condition
        self.right += step.right
        self.wrong += step.wrong
        for place, row in enumerate(step.rows):
            if len(self.rows) < panels and all(shown["condition"] != row["condition"] for shown in self.rows):
                self.rows.append(row)
                for name, images in step.panels.items():
                    self.panels.setdefault(name, []).append(images[place])


def inpaint(
    run: Path | str,
    data: Path | str | None = None,
    out: Path | str | None = None,
    part: str = "test",
    panels: int = 8,
    progress: OnProgress | None = None,
    *,
    device: str | None = None,
    ranks: Ranks | None = None,
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
        ranks: processes that share the work; each makes this call, and rank 0 writes. None: this process alone.

    Returns:
        What was found.

    Raises:
        ConfigError: an argument out of range.
        RunError: a run of another objective, or a part without two conditions.
    """
    opened = open_run(run, ranks, device=device)
    objective = opened.having(Paints)
    on = opened.on(data, part)
    plan = plan_of(opened.config, on.dataset, on.parts, part, objective, {}, Draw.VALIDATION)
    if not isinstance(plan, PairsPlan):
        raise RunError(f"{run}: its plan does not give pairs of cells; inpaint needs a run with plan: {{name: pairs}}")
    folder = opened.folder.root / "inpainting" if out is None else Path(out)
    by_rank_0(ranks, lambda: check_output_folder(folder))
    painted = _painted(on, objective, plan, panels, progress)
    return on_rank_0(on.ranks, painted, lambda steps: _summed_up(on, objective, folder, steps, panels))


def _summed_up(
    on: Application, objective: Paints, folder: Path, steps: Iterator[Painted], panels: int
) -> InpaintSummary:
    """Join what the steps of a walk found, and write it."""
    painted, opened = Painted(), on.run
    for step in steps:
        painted.add(step, panels)
    summary = {"format": FORMAT_VERSION, "part": on.part, **_losses(painted), "panels": painted.rows}
    summary["pixel_size_um"] = on.dataset.manifest.pixel_size_um
    summary["channels"] = list(opened.scale.channels)
    summary["structure"] = list(objective.given)
    summary["protein"] = list(objective.painted)
    summary["wellstream"] = facts_of(on, "inpainting")
    _write(folder, summary, painted)
    return InpaintSummary(
        folder=folder,
        part=on.part,
        pairs=summary["pairs"],
        loss=summary["loss"],
        loss_mismatched=summary["loss_mismatched"],
        ratio=summary["ratio"],
        right_is_better=summary["right_is_better"],
        step=opened.step,
    )


def _painted(
    on: Application, objective: Paints, plan: PairsPlan, panels: int, progress: OnProgress | None
) -> Iterator[Painted]:
    """Walk over all pairs of an epoch, once with their own sources and once with strangers; targets are the same.

    A step keeps the images of conditions that are new to this rank, of ``panels`` at most: among those of all ranks are
    the first of the walk.
    """
    names = _conditions(on.dataset, on.run.config.plan.grouped_by)
    shown: set[str] = set()

    def queue(_: int, right: Batch, wrong: Batch) -> Callable[[], Painted]:
        target = right.tiles[:, 1]
        with on.computing():
            both = [objective.inpaint(batch.tiles[:, 0], target).float() for batch in (right, wrong)]
        truth = objective.truth(target)
        errors = fetched(torch.stack([(painted - truth).square().mean(dim=(1, 2, 3)).double() for painted in both]))
        counted = counted_rows(right)
        bags = right.rows_on_host()[0].tolist()
        first: dict[str, int] = {}
        for row in counted.nonzero().squeeze(1).tolist():
            first.setdefault(names[bags[row]], row)
        new = [name for name in first if name not in shown][: panels - len(shown)]
        shown.update(new)
        rows = [first[name] for name in new]
        seen = {"source": right.tiles[:, 0], "stranger": wrong.tiles[:, 0], "target": target}
        seen |= {"painted": both[0], "painted_after_stranger": both[1]}
        kept = {name: [fetched(images[row].float().clone()) for row in rows] for name, images in seen.items()}
        facts = [_facts(on.dataset, names, right, wrong, row) for row in rows]

        def read() -> Painted:
            own, strangers = errors()[:, counted].tolist()
            images = {name: [image().numpy() for image in each] for name, each in kept.items()}
            conditions = [names[bag] for bag, real in zip(bags, counted.tolist(), strict=True) if real]
            return Painted(condition=conditions, right=own, wrong=strangers, panels=images, rows=facts)

        return read

    def told(done: int, total: int) -> None:
        if progress:
            progress("inpaint", done, total)

    for _, step in computed(on, [Walk(plans=(plan, MismatchedPairs(plan)))], queue, told):
        yield step


def _facts(dataset: Dataset, names: list[str], right: Batch, wrong: Batch, row: int) -> dict[str, Any]:
    """Return which tiles a panel shows."""
    (bags, tiles, _), stranger = right.rows_on_host(), int(wrong.rows_on_host()[1][row, 0])
    source, target = tiles[row].tolist()
    return {
        "condition": names[int(bags[row])],
        "source": source,
        "target": target,
        "stranger": stranger,
        "stranger_condition": names[int(dataset.index.bag[stranger])],
    }


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
    with replacing_files(folder, SUMMARY_NAME) as beside:
        write_arrays(beside / PANELS_NAME, {name: np.stack(images) for name, images in painted.panels.items()})
        write_json(beside / SUMMARY_NAME, summary)
