"""Pages about runs and datasets, and runs shown in wandb or TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from framework import report as pages
from framework import run as rooms
from framework.data.format.schema import MANIFEST_NAME
from framework.errors import ConfigError
from framework.plugins import load_plugins
from framework.tracking import ReplaySummary, TrackingConfig


def report(
    run: Path | str,
    *,
    data: Path | str | None = None,
    evaluation: Path | str | None = None,
    embeddings: Path | str | None = None,
    figures: Path | str | None = None,
    truth: Path | str | None = None,
    out: Path | str | None = None,
    map_out: Path | str | None = None,
    plugins: Sequence[str] = (),
) -> Path:
    """Write a self-contained HTML page about a run or a finished dataset, and return its file.

    Args:
        run: run folder, or folder or URL of a dataset. The page of a dataset shows what ``preview`` shows of an export.
        data: the dataset it was trained on; default: the one that its config names, if that still exists.
        evaluation: folder of ``evaluate``; default: ``evaluation`` in the run.
        embeddings: ``.h5ad`` of ``Run.embed``.
        figures: folder of ``figure``; default: ``figures`` in the run.
        truth: ``truth.parquet`` of a simulated plate: the page shows which genes follow the cells and which were found.
        out: the file; default: ``report.html`` in the run, ``<dataset>.report.html`` beside a dataset.
        map_out: also write an interactive page on which each point of the embedding shows its cells and its well; needs
            ``embeddings``.
        plugins: entry points, or files after ``framework.plugins.permit_code``, that add sections.

    Raises:
        WellstreamError: no run, or an input that cannot be read.
    """
    load_plugins(plugins)
    if "://" in str(run) or (Path(run) / MANIFEST_NAME).is_file():
        given = {
            "data": data,
            "evaluation": evaluation,
            "embeddings": embeddings,
            "figures": figures,
            "truth": truth,
            "map_out": map_out,
        }
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ConfigError(
                f"{run}: is a dataset, and {', '.join(named)} belong to the page of a run; leave them out"
            )
        return pages.write_dataset_report(run, out)
    return pages.write_report(
        run,
        dataset=data,
        evaluation=evaluation,
        embeddings=embeddings,
        figures=figures,
        truth=truth,
        out=out,
        map_out=map_out,
    )


def track(
    run: Path | str,
    out: Path | str | None = None,
    *,
    wandb: Literal["offline", "online", "disabled"] = "offline",
    tensorboard: bool = False,
    project: str = "wellstream",
    name: str | None = None,
) -> ReplaySummary:
    """Send curves, tables of ``evaluate`` and figures of a run folder to a tracker, as a new run.

    Args:
        run: the run folder.
        out: folder for the files of the new run; default: ``tracked`` in the run folder.
        wandb: ``offline`` writes files that ``wandb sync`` uploads.
        tensorboard: also write files for TensorBoard; needs the package.
        project: project of wandb.
        name: name of the new run; default: the name of the run folder.

    Raises:
        WellstreamError: no run, or nowhere to send it.
    """
    config = TrackingConfig(wandb=wandb, tensorboard=tensorboard, project=project, name=name)
    return rooms.track(run, Path(run) / "tracked" if out is None else out, config)
