"""Training runs: train one, open one, use one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
from torch import nn

from framework import run as rooms
from framework.distributed import Ranks, start_processes
from framework.errors import ConfigError, RunError
from framework.files.h5ad import read_h5ad
from framework.progress import OnProgress
from framework.run import (
    EmbedSummary,
    ExportSummary,
    HeadsConfig,
    HeadsSummary,
    InpaintSummary,
    LayersSummary,
    OpenedRun,
    PredictSummary,
    RunConfig,
    SaliencySummary,
    config_to_train,
    load_heads_config,
)
from framework.tracking import read_metrics


class Run:
    """A trained run: its weights, and what can be done with them.

    Attributes:
        folder: its folder.
        device: where it computes: ``auto``, ``cpu`` or ``cuda``. None: the device of the run's config, or the CPU, with
            a note, if there is no such device.
        ranks: processes that share the work, see ``wellstream.joined``; None: this process alone.
    """

    def __init__(self, folder: Path | str, device: str | None = None, ranks: Ranks | None = None) -> None:
        self.folder = Path(folder)
        self.device = device
        self.ranks = ranks

    def __repr__(self) -> str:
        opened = self.opened
        data = opened.folder.objective_facts().dataset
        return f"Run '{self.folder.name}': {opened.config.objective.name}, step {opened.step}, on {data}"

    @cached_property
    def opened(self) -> OpenedRun:
        """Config, objective and scaling, with the best or newest valid checkpoint."""
        return rooms.open_run(self.folder, self.ranks, device=self.device)

    @property
    def config(self) -> RunConfig:
        """The resolved config."""
        return self.opened.config

    @property
    def model(self) -> nn.Module:
        """The objective as a ``torch.nn.Module`` in eval mode, on the device of the run."""
        return self.opened.objective

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per logged step."""
        return read_metrics(self.folder)

    def embed(
        self,
        out: Path | str | None = None,
        *,
        data: Path | str | None = None,
        level: str = "tile",
        layers: Sequence[str] = (),
        pool: str = "max",
        views: int | str = 1,
        untrained: bool = False,
        progress: OnProgress | None = None,
    ) -> Any:
        """Return embeddings as AnnData, or with ``layers`` a mapping layer -> AnnData.

        Args:
            out: ``.h5ad`` to write them to (with ``layers`` a folder); default: nowhere.
            data: dataset folder or URL; default: the one the run trained on.
            level: ``tile`` (one row per tile) or ``bag``.
            layers: return these layers of the network instead, pooled over space.
            pool: ``max`` or ``mean``, for layers.
            views: for layers: mean over 1, 4 or 8 mirror images, or over those of ``image2omics``.
            untrained: use the weights that the run began with.
            progress: called with (stage, done, total) while the work goes on.

        Raises:
            WellstreamError: run, data, channels and layers do not fit together.
        """
        self._need_alone("write_embeddings or write_layers")
        with tempfile.TemporaryDirectory() as beside:
            file = Path(out) if out is not None else Path(beside) / ("layers" if layers else "embeddings.h5ad")
            if layers:
                made = self.write_layers(
                    file, layers, data=data, pool=pool, views=views, untrained=untrained, progress=progress
                )
                return {each.stem: _read(each) for each in made.files}
            return _read(
                self.write_embeddings(file, data=data, level=level, untrained=untrained, progress=progress).file
            )

    def predict(
        self,
        out: Path | str | None = None,
        *,
        data: Path | str | None = None,
        part: str = "test",
        tiles: int = 512,
        seeds: int = 3,
        views: int | str = 1,
        interval: float | None = None,
        interval_by: Sequence[str] = (),
        progress: OnProgress | None = None,
    ) -> Any:
        """Return predictions as AnnData, with the measured values in ``layers["measured"]``.

        A run of several targets gives a mapping target -> AnnData.

        Args:
            out: ``.h5ad`` to write them to (a folder for several targets); default: nowhere.
            data: dataset folder or URL; default: the one the run trained on.
            part: ``train``, ``val``, ``test`` or ``all``.
            tiles: tiles drawn per bag.
            seeds: number of random draws of tiles that are averaged.
            views: mean over 1, 4 or 8 mirror images, or ``image2omics``.
            interval: share of measured values that lie between ``layers["lower"]`` and ``layers["upper"]``, such as
                0.9. It is calibrated with the errors of the part ``val``. Default: no such layers.
            interval_by: columns whose values get separate intervals.
            progress: called with (stage, done, total) while the work goes on.

        Raises:
            WellstreamError: a run that cannot predict, or run and data do not fit together.
        """
        self._need_alone("write_predictions")
        with tempfile.TemporaryDirectory() as beside:
            file = Path(out) if out is not None else Path(beside) / "predictions"
            made = self.write_predictions(
                file,
                data=data,
                part=part,
                tiles=tiles,
                seeds=seeds,
                views=views,
                interval=interval,
                interval_by=interval_by,
                progress=progress,
            )
            return _read(made.files[0]) if len(made.files) == 1 else {each.stem: _read(each) for each in made.files}

    def write_embeddings(
        self,
        out: Path | str,
        *,
        data: Path | str | None = None,
        level: str = "tile",
        untrained: bool = False,
        progress: OnProgress | None = None,
    ) -> EmbedSummary:
        """Write embeddings block by block, for more tiles than memory holds. Arguments and errors as ``embed``."""
        device, ranks = self.device, self.ranks
        return rooms.embed(self.folder, data, out, level, progress, untrained=untrained, device=device, ranks=ranks)

    def write_layers(
        self,
        out: Path | str,
        layers: Sequence[str],
        *,
        data: Path | str | None = None,
        pool: str = "max",
        views: int | str = 1,
        untrained: bool = False,
        progress: OnProgress | None = None,
    ) -> LayersSummary:
        """Write one file per layer into the folder ``out``, block by block. Arguments and errors as ``embed``."""
        return rooms.embed_layers(
            self.folder,
            data,
            out,
            layers,
            pool=pool,
            untrained=untrained,
            views=views,
            progress=progress,
            device=self.device,
            ranks=self.ranks,
        )

    def write_predictions(
        self,
        out: Path | str,
        *,
        data: Path | str | None = None,
        part: str = "test",
        tiles: int = 512,
        seeds: int = 3,
        views: int | str = 1,
        interval: float | None = None,
        interval_by: Sequence[str] = (),
        progress: OnProgress | None = None,
    ) -> PredictSummary:
        """Write predictions (``.h5ad``; a folder for several targets). Arguments and errors as ``predict``."""

        def predicted(of: Path | str | None, to: Path | str, which: str) -> PredictSummary:
            device, ranks = self.device, self.ranks
            return rooms.predict(self.folder, of, to, which, tiles, seeds, views, progress, device=device, ranks=ranks)

        if interval is not None:
            by = tuple(interval_by)
            return rooms.predict_with_intervals(predicted, data, out, part, level=interval, by=by, ranks=self.ranks)
        if interval_by:
            raise ConfigError("interval_by needs interval; set interval, such as 0.9")
        return predicted(data, out, part)

    def inpaint(
        self,
        out: Path | str | None = None,
        *,
        data: Path | str | None = None,
        part: str = "test",
        panels: int = 8,
        progress: OnProgress | None = None,
    ) -> InpaintSummary:
        """Paint each cell twice, from a source cell of its own protein and of another, and compare the errors.

        Args:
            out: folder for losses and images; default: ``inpainting`` in the run.
            data: dataset folder or URL; default: the one the run trained on.
            part: ``train``, ``val``, ``test`` or ``all``.
            panels: number of conditions whose images are kept.
            progress: called with (stage, done, total) while the work goes on.

        Raises:
            WellstreamError: a run that does not paint, or a part without two conditions.
        """
        return rooms.inpaint(self.folder, data, out, part, panels, progress, device=self.device, ranks=self.ranks)

    def _need_alone(self, instead: str) -> None:
        if self.ranks is not None and self.ranks.world_size > 1:
            raise RunError(f"several processes share this run, and only one of them writes; call {instead}")

    def saliency(
        self,
        out: Path | str,
        *,
        data: Path | str | None = None,
        part: str = "test",
        tiles: int | None = None,
        seed: int = 0,
        outputs: Sequence[str] = (),
        bags: Sequence[str] | int = 4,
        samples: int = 25,
        noise: float = 0.15,
        progress: OnProgress | None = None,
    ) -> SaliencySummary:
        """Write which pixels of a cell its predictions depend on; for bags also the contribution of each tile.

        Args:
            out: ``.npz`` to write.
            data: dataset folder or URL; default: the one the run trained on.
            part: ``train``, ``val``, ``test`` or ``all``.
            tiles: how many tiles, drawn at random by ``seed``; default: 256, or 9 per bag.
            seed: seed of the draw and of the noise.
            outputs: for runs on bags: genes, as ``GENE`` or ``TARGET/GENE``; default: all, if there are few.
            bags: for runs on bags: names of bags (``WELL`` or ``PLATE/WELL``), or how many are drawn.
            samples: number of noisy copies of a tile, for SmoothGrad.
            noise: standard deviation of that noise, as a share of the range of the tile.
            progress: called with (stage, done, total) while the work goes on.

        Raises:
            WellstreamError: a run that cannot predict, no such bag or output, or a part without tiles.
        """
        return rooms.saliency(
            self.folder,
            data,
            out,
            part,
            tiles,
            seed,
            progress,
            outputs=outputs,
            bags=bags,
            samples=samples,
            noise=noise,
            device=self.device,
        )


def fit(
    config: Path | str | Mapping[str, Any] | RunConfig,
    *,
    overrides: Sequence[str] = (),
    resume: str = "auto",
    nproc: int = 1,
) -> Run:
    """Train, or continue a run, and return it.

    Args:
        config: a YAML file, a mapping with the same keys, or a config object.
        overrides: keys with dots and their values, such as ``["train.steps=100"]``; not with a config object.
        resume: ``auto`` continues from the newest valid checkpoint, ``none`` requires a new run; or the path of a
            checkpoint.
        nproc: processes on this machine, one per GPU; needs a YAML file.

    Raises:
        WellstreamError: what is wrong, in a sentence; also if one of several ranks fails.
    """
    settings = config if isinstance(config, RunConfig) else config_to_train(config, overrides)
    if nproc > 1:
        if not isinstance(config, Path | str):
            raise RunError("nproc: several processes read the config from a file; write it to a YAML and name that")
        ending = start_processes("launch.train", [str(config), *overrides, "--resume", resume], nproc)
        if ending.code:
            raise RunError(" ".join(ending.sentences))
        return Run(settings.run_dir)
    return Run(rooms.fit(settings, resume))


def rehearse(config: Path | str | Mapping[str, Any] | RunConfig, *, overrides: Sequence[str] = ()) -> rooms.Rehearsal:
    """Make a few steps of a run. Return the time and memory they took, and what would need less; nothing is kept.

    Args:
        config: a YAML file, a mapping with the same keys, or a config object.
        overrides: keys with dots and their values, such as ``["plan.tiles=32"]``; not with a config object.

    Raises:
        WellstreamError: whatever training would refuse.
    """
    return rooms.rehearse(config if isinstance(config, RunConfig) else config_to_train(config, overrides))


def fit_heads(
    config: Path | str | Mapping[str, Any] | HeadsConfig,
    *,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
) -> HeadsSummary:
    """Train linear heads of many targets and splits at once; each gets its own run folder.

    Args:
        config: config of an ``omics_heads`` run with ``data.embeddings``: a YAML file, a mapping with the same keys, or
            a config object. ``heads.seeds`` lists the seeds of its splits.
        overrides: keys with dots and their values, such as ``["heads.seeds=[0, 1, 2]"]``; not with a config object.
        progress: called with (stage, done, total) while the work goes on.

    Raises:
        WellstreamError: what is wrong, in a sentence.
    """
    settings = config if isinstance(config, HeadsConfig) else load_heads_config(config, overrides)
    return rooms.fit_heads(settings, progress)


def export(
    run: Run | Path | str,
    out: Path | str,
    *,
    data: Path | str | None = None,
    licence: str | None = None,
    program: bool = True,
) -> ExportSummary:
    """Write the network of a run for other programs: weights, ``model.json``, a model card and a program.

    Args:
        run: a run, or its folder.
        out: folder to write.
        data: dataset that says how large tiles are; default: the one the run trained on.
        licence: licence of the weights, such as ``CC-BY-4.0``.
        program: whether to write ``model.pt2`` for ``torch.export.load``.

    Raises:
        WellstreamError: a run that cannot embed, or a folder that holds other files.
    """
    folder = run.folder if isinstance(run, Run) else run
    return rooms.export(folder, out, data=data, licence=licence, program=program)


def open_run(folder: Path | str, *, device: str | None = None) -> Run:
    """Return a trained run. Raises RunError if there is none, ConfigError if there is no such device."""
    run = Run(folder, device)
    _ = run.opened
    return run


def _read(file: Path) -> anndata.AnnData:
    return read_h5ad(file, what="a file of this run (.h5ad)", then="make it again")
