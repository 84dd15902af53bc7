"""Sections about the run itself: what it was, how it went, and the config that repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from framework.data.format.schema import BAG, SOURCE, of_plates
from framework.evaluate import evaluation_kind, targets_beside_baselines
from framework.format import count, count_of, duration, measure
from framework.report.beside import answers
from framework.report.page import Block, Facts, Listing, Note, Numbers, Section
from framework.report.page_inputs import Inputs, RunFacts
from framework.report.run.figures_training import loss_curve, throughput
from framework.report.run.inpainting import painting_verdict
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_WARM_UP = 0.1
"""Share of the steps left out of steady-state speed: first batches fill caches."""


@SECTIONS.register("overview", SectionConfig)
class OverviewSection(ReportSection):
    """Headline numbers and facts."""

    order = 0

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        return overview(inputs)


@SECTIONS.register("training", SectionConfig)
class TrainingSection(ReportSection):
    """Loss and speed."""

    order = 100

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        return training(inputs.run) or Note(
            text="Training: metrics.jsonl holds no loss. Start or continue the run:", command="wellstream train CONFIG"
        )


@SECTIONS.register("reproduce", SectionConfig)
class ReproduceSection(ReportSection):
    """Config and versions."""

    order = 900

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        return reproduce(inputs.run)


def overview(inputs: Inputs) -> Section:
    """Return the first section: the headline numbers, and the facts of run and dataset side by side."""
    blocks: list[Block] = []
    kind = None if inputs.evaluation is None else evaluation_kind(inputs.evaluation.kind)
    if kind is not None and inputs.evaluation is not None:
        summary = inputs.evaluation.summary
        blocks += answers(*targets_beside_baselines(summary), kind.verdict(summary))
    blocks += answers(painting_verdict(inputs.run.root))
    blocks.append(Numbers(items=_headline(inputs)))
    blocks.append(Facts(items=_run_facts(inputs.run), title="Run"))
    if inputs.dataset is not None:
        blocks.append(Facts(items=_dataset_facts(inputs), title="Dataset"))
    if not inputs.run.summary:
        blocks.append(
            Note(
                text="The run has written no summary.json: it is unfinished or was stopped. Continue it with",
                command="wellstream train CONFIG --resume auto",
                doubt=True,
            )
        )
    return Section(
        anchor="overview",
        title="Question and answer",
        lead=(kind.asks if kind is not None else "") or "What was trained, on what, and how did it come out?",
        blocks=blocks,
    )


def training(run: RunFacts) -> Section | None:
    """Return loss and speed by step; None when nothing was logged."""
    loss, validation = run.column("loss"), run.column("val_loss")
    if not len(loss) and not len(validation):
        return None
    blocks: list[Block] = [Numbers(items=_of_training(run)), loss_curve(loss, validation)]
    speed = throughput(
        {"tiles per second": run.column("tiles_per_s"), "share of time waiting for data": run.column("wait_share")}
    )
    if speed is not None:
        blocks.append(speed)
    return Section(
        anchor="training", title="Training", lead="Did the loss go down, and was the machine kept busy?", blocks=blocks
    )


def reproduce(run: RunFacts) -> Section | None:
    """Return config and summary as text; None without a config."""
    if not run.config_text:
        return None
    blocks: list[Block] = [
        Note(
            text="The same run again, from the config kept in its folder:",
            command=f"wellstream train {run.path_shown}/config.yaml",
        )
    ]
    blocks.append(Listing(title="config.yaml (resolved)", text=run.config_text))
    if run.split is not None:
        blocks.append(Facts(items=_split_facts(run.split), title="Split"))
    versions = run.summary.get("versions")
    if isinstance(versions, Mapping):
        blocks.append(Facts(items=[(str(key), str(versions[key])) for key in sorted(versions)], title="Versions"))
    return Section(
        anchor="reproduce", title="Reproduce", lead="Everything that determines the numbers above.", blocks=blocks
    )


def wait_share(run: RunFacts) -> float | None:
    """Return the share of training time spent waiting for data, from the summary or from steady-state log lines."""
    told = run.summary.get("wait_share")
    if isinstance(told, int | float):
        return float(told)
    logged = run.column("wait_share")
    steady = logged.iloc[int(len(logged) * _WARM_UP) :]
    return float(steady.mean()) if len(steady) else None


def _steps(run: RunFacts) -> int | None:
    for key in ("steps", "step"):
        if isinstance(run.summary.get(key), int):
            return int(run.summary[key])
    return int(run.metrics["step"].max()) if "step" in run.metrics.columns and len(run.metrics) else None


def _seconds(run: RunFacts) -> float | None:
    for key in ("wall_s", "seconds", "train_s", "time_s"):
        if isinstance(run.summary.get(key), int | float):
            return float(run.summary[key])
    return None


def _headline(inputs: Inputs) -> list[tuple[str, str]]:
    items = []
    if inputs.evaluation is not None:
        items += evaluation_kind(inputs.evaluation.kind).numbers(inputs.evaluation.summary)
    if not items:
        items += _of_training(inputs.run)
    if inputs.dataset is not None:
        items.append((count(inputs.dataset.manifest.n_tiles), "tiles in the dataset"))
    return items


def _of_training(run: RunFacts) -> list[tuple[str, str]]:
    items = []
    steps, seconds, waiting = _steps(run), _seconds(run), wait_share(run)
    validation, loss = run.column("val_loss"), run.column("loss")
    if steps is not None:
        items.append((count(steps), "training steps"))
    if len(validation):
        items.append((f"{validation.min():.4g}", f"best validation loss, step {validation.idxmin()}"))
    elif len(loss):
        items.append((f"{loss.iloc[-1]:.4g}", "last training loss"))
    if waiting is not None:
        items.append((f"{waiting:.1%}", "of the time waiting for data"))
    if seconds is not None:
        items.append((duration(seconds), "training time"))
    return items


def _run_facts(run: RunFacts) -> list[tuple[str, str]]:
    objective, plan, optim, train = (run.section(name) for name in ("objective", "plan", "optim", "train"))
    backbone = objective.get("backbone")
    items = [
        ("Folder", run.path_shown),
        ("Objective", str(objective.get("name", ""))),
        ("Backbone", str(backbone.get("name", "")) if isinstance(backbone, Mapping) else ""),
        ("Batch", _batch(plan)),
        (
            "Optimiser",
            " ".join(f"{key} {optim[key]}" for key in ("name", "lr", "weight_decay") if key in optim).removeprefix(
                "name "
            ),
        ),
        ("Precision", str(train.get("precision", ""))),
        ("Seed", str(train.get("seed", ""))),
        ("Processes", _first(run.summary, "world_size", "world")),
        ("Device", _first(run.summary, "device")),
        ("Ended", _ended(run.summary)),
        (
            "Median tiles per second",
            measure(float(run.column("tiles_per_s").median())) if len(run.column("tiles_per_s")) else "",
        ),
        ("Checkpoints kept", count(len(run.checkpoints)) if run.checkpoints else ""),
    ]
    return [(name, value) for name, value in items if value]


def _ended(summary: Mapping[str, Any]) -> str:
    by = {"steps": "after the last step", "patience": "early, validation no longer fell"}
    told = str(summary.get("ended_by", ""))
    return by.get(told, f"stopped by {told}" if told else "")


def _first(summary: Mapping[str, Any], *keys: str) -> str:
    return next((str(summary[key]) for key in keys if key in summary), "")


def _batch(plan: Mapping[str, Any]) -> str:
    sizes = [f"{plan[key]} {key}" for key in ("conditions", "bags", "pairs", "tiles") if key in plan]
    return f"{plan['name']}: {' × '.join(sizes)}" if "name" in plan else ""


def _dataset_facts(inputs: Inputs) -> list[tuple[str, str]]:
    if inputs.dataset is None:
        return []
    manifest, bags = inputs.dataset.manifest, inputs.dataset.bags
    channels, height, width = manifest.tile.shape
    plates = of_plates(bags.columns.tolist())
    treatments = bags[["Metadata_Perturbation", "Metadata_Stimulation"]].astype(str).drop_duplicates()
    items = [
        ("Name", manifest.name),
        ("Plates" if plates else "Sources", count(manifest.n_sources)),
        ("Wells" if plates else "Bags", count(manifest.n_bags)),
        ("Conditions", count(len(treatments))),
        ("Nuclei found" if plates else "Cells found", count(manifest.n_cells)),
        ("Tiles", f"{count(manifest.n_tiles)} of {channels} × {height} × {width} px, {manifest.tile.dtype}"),
        ("Channels", ", ".join(manifest.tile.channels)),
        ("Pixel size", f"{manifest.pixel_size_um:g} µm" if manifest.pixel_size_um else "not known"),
        ("Targets", ", ".join(manifest.targets)),
        ("Markers", ", ".join(manifest.markers)),
        ("Skipped input", count(len(manifest.skipped))),
    ]
    return [(name, value) for name, value in items if value]


def _split_facts(split: pd.DataFrame) -> list[tuple[str, str]]:
    by = [column for column in split.columns if column not in {SOURCE, BAG, "part", "bag"}]
    items = [("Made by", ", ".join(by))] if by else []
    for part in ("train", "val", "test"):
        chosen = split[split["part"] == part] if "part" in split.columns else split.iloc[:0]
        values = f", {count_of(chosen[by[0]].nunique(), 'value')}" if by else ""
        items.append((part, f"{count_of(len(chosen), 'bag')}{values}"))
    return items
