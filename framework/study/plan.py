"""From a study's config to its steps: which commands, in which order, and what each hands to the next.

The folder of a study::

    raw/                     the simulated export, where the study has one
    dataset/                 of ingest
    runs/pretrain, runs/heads-<seed>
    embeddings/tiles.h5ad, embeddings/wells.h5ad
    predictions/split-<seed>/, predictions-with-intervals/split-<seed>/
    evaluation/, figures/, report.html
    steps/                   a record of each step

Where heads are trained together, ``runs/heads/<target>-split-<seed>`` take the places of ``runs/heads-<seed>``. With a
backbone per split, ``runs/pretrain-<seed>`` and ``embeddings/tiles-<seed>.h5ad`` take the places of the single
ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.data.format.schema import MANIFEST_NAME
from framework.data.remote.download import is_url
from framework.evaluate import ENOUGH_SPLITS
from framework.study.config import FiguresStage, StageConfig, StudyConfig
from framework.study.settings import overrides_of, run_settings, stage_settings, targets_of
from framework.study.step import Step, override, with_contents

TILES, WELLS = "tile", "bag"


def plan_of(study: StudyConfig) -> tuple[Step, ...]:
    """Return the steps of a study in the order in which they are done.

    Raises:
        ConfigError: a config of a step that cannot be used, or one that does not fit the others; names the key.
    """
    return tuple(_Plan(study=study, out=Path(study.out)).steps())


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Builds the steps.

    Attributes:
        study: the config.
        out: its folder.
    """

    study: StudyConfig
    out: Path

    def steps(self) -> Iterator[Step]:
        yield from self._data()
        yield from self._backbones()
        predictions = []
        for step in self._models():
            yield step
            predictions += [step.name] if step.stage == "predict" else []
        if self._calibrates_by_splits:
            yield self._intervals(predictions)
        yield self._evaluate(["intervals"] if self._calibrates_by_splits else predictions)
        if self.study.figures is not None:
            yield self._figures(self.study.figures)
        if self.study.report:
            yield self._report()

    @property
    def dataset(self) -> str:
        return str(self.out / "dataset") if self.study.dataset is None else self.study.dataset

    @property
    def _of_data(self) -> tuple[str, ...]:
        return () if self.study.ingest is None else ("ingest",)

    def _data(self) -> Iterator[Step]:
        simulate, ingest = self.study.simulate, self.study.ingest
        if simulate is not None:
            raw = self.out / "raw"
            yield Step(
                name="simulate",
                stage="simulate",
                words=(
                    "simulate",
                    "plate",
                    str(raw),
                    "--config",
                    shown(simulate),
                    *overrides_of(self.study, "simulate"),
                ),
                settings=stage_settings("simulate", simulate, self.out),
                needs=(),
                outputs=(raw,),
            )
        if ingest is not None:
            yield Step(
                name="ingest",
                stage="ingest",
                words=("ingest", shown(ingest), "--out", self.dataset, *overrides_of(self.study, "ingest")),
                settings=stage_settings("ingest", ingest, self.out),
                needs=() if simulate is None else ("simulate",),
                outputs=(Path(self.dataset),),
            )

    def _backbones(self) -> Iterator[Step]:
        for seed in self.study.split_seeds if self.study.backbone_per_split else (None,):
            name, run = _name("pretrain", seed), self._backbone(seed)
            changes: dict[str, Any] = {"run_dir": str(run), "data.path": self.dataset}
            if seed is not None:
                changes["split.seed"] = seed
            nproc = self.study.pretrain.nproc
            words = ("train", shown(self.study.pretrain), *([f"--nproc={nproc}"] if nproc > 1 else []))
            yield Step(
                name=name,
                stage="pretrain",
                words=(*words, *overrides_of(self.study, "pretrain", changes)),
                settings=run_settings(self.study, "pretrain", changes) | self._data_settings,
                needs=self._of_data,
                outputs=(run,),
            )
            if self.study.embeddings:
                yield self._embed(_name("embed", seed), run, self._tiles(seed), TILES, name)
        if self.study.report:
            seed = self.study.split_seeds[0] if self.study.backbone_per_split else None
            yield self._embed("embed-wells", self._backbone(seed), self._wells, WELLS, _name("pretrain", seed))

    @property
    def _data_settings(self) -> dict[str, Any]:
        """What a step must know of a dataset that no step of the study makes."""
        if self.study.dataset is None or is_url(self.study.dataset):
            return {} if self.study.dataset is None else {"data.path": self.study.dataset}
        return with_contents({"data.path": str(Path(self.study.dataset).absolute() / MANIFEST_NAME)}, self.out)

    def _embed(self, name: str, run: Path, file: Path, level: str, needed: str) -> Step:
        return Step(
            name=name,
            stage="embed",
            words=("embed", str(run), "--out", str(file), "--level", level),
            settings={"level": level},
            needs=(needed,),
            outputs=(file,),
        )

    def _models(self) -> Iterator[Step]:
        if not self.study.heads_together:
            for seed in self.study.split_seeds:
                yield self._heads(seed)
                yield self._predict(f"predict-{seed}", self._run(seed), self._predictions(seed), f"heads-{seed}")
            return
        yield self._all_heads()
        root = self.out / "runs" / "heads"
        for seed in self.study.split_seeds:
            for target in targets_of(self.study):
                name, file = f"predict-{target}-{seed}", self._predictions(seed) / f"{target}.h5ad"
                yield self._predict(name, root / f"{target}-split-{seed}", file, "heads")

    def _all_heads(self) -> Step:
        """Return the step that trains one model per target and split, all at once."""
        several = self.study.backbone_per_split
        backbone, tiles = ("pretrain-{seed}", "tiles-{seed}.h5ad") if several else ("pretrain", "tiles.h5ad")
        changes: dict[str, Any] = {
            "run_dir": str(self.out / "runs" / "heads"),
            "data.path": self.dataset,
            "objective.pretrained": str(self.out / "runs" / backbone),
            "data.embeddings": str(self.out / "embeddings" / tiles),
        }
        seeds = {"heads.seeds": list(self.study.split_seeds)}
        return Step(
            name="heads",
            stage="heads",
            words=("heads", shown(self.study.heads), *overrides_of(self.study, "heads", changes | seeds)),
            settings=run_settings(self.study, "heads", changes) | seeds,
            needs=tuple(_name("embed", seed) for seed in (self.study.split_seeds if several else (None,))),
            outputs=(self.out / "runs" / "heads",),
        )

    def _heads(self, seed: int) -> Step:
        of_backbone = seed if self.study.backbone_per_split else None
        changes: dict[str, Any] = {
            "run_dir": str(self._run(seed)),
            "data.path": self.dataset,
            "objective.pretrained": str(self._backbone(of_backbone)),
            "split.seed": seed,
        }
        if self.study.embeddings:
            changes["data.embeddings"] = str(self._tiles(of_backbone))
        return Step(
            name=f"heads-{seed}",
            stage="heads",
            words=("train", shown(self.study.heads), *overrides_of(self.study, "heads", changes)),
            settings=run_settings(self.study, "heads", changes),
            needs=(_name("embed" if self.study.embeddings else "pretrain", of_backbone),),
            outputs=(self._run(seed),),
        )

    def _predict(self, name: str, run: Path, out: Path, needed: str) -> Step:
        options = self.study.predict.plain()
        if self.study.interval is not None and not self._calibrates_by_splits:
            options |= {"interval": self.study.interval}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return Step(
            name=name,
            stage="predict",
            words=("predict", str(run), "--out", str(out), *words),
            settings=options,
            needs=(needed,),
            outputs=(out,),
        )

    @property
    def _calibrates_by_splits(self) -> bool:
        return self.study.interval is not None and len(self.study.split_seeds) >= ENOUGH_SPLITS

    def _intervals(self, predictions: Sequence[str]) -> Step:
        files, level = [str(self._predictions(seed)) for seed in self.study.split_seeds], str(self.study.interval)
        return Step(
            name="intervals",
            stage="intervals",
            words=("intervals", *files, "--level", level, "--out", str(self._with_intervals)),
            settings={"level": self.study.interval},
            needs=tuple(predictions),
            outputs=(self._with_intervals,),
        )

    def _evaluate(self, predictions: Sequence[str]) -> Step:
        options = self.study.evaluate
        files = [str(self._evaluated(seed)) for seed in self.study.split_seeds]
        words = [override(key, value) for key, value in options.items()]
        return Step(
            name="evaluate",
            stage="evaluate",
            words=("evaluate", *files, *words, "--out", str(self._evaluation), "--data", self.dataset),
            settings=dict(options),
            needs=tuple(predictions),
            outputs=(self._evaluation,),
        )

    def _figures(self, figures: FiguresStage) -> Step:
        predictions = [word for seed in self.study.split_seeds for word in ("--predictions", self._predictions(seed))]
        words = ["figure", *figures.names, *predictions, "--evaluation", self._evaluation, "--data", self.dataset]
        needs = ["evaluate"]
        if self.study.report:
            words += ["--embeddings", self._wells]
            needs.append("embed-wells")
        for key in ("locations", "pathways"):
            if (file := getattr(figures, key)) is not None:
                words += [f"--{key}", file]
        return Step(
            name="figures",
            stage="figures",
            words=tuple(map(str, [*words, "--out", self.out / "figures"])),
            settings=with_contents(figures.plain(), self.out),
            needs=tuple(needs),
            outputs=(self.out / "figures",),
        )

    def _report(self) -> Step:
        run = self._backbone(self.study.split_seeds[0] if self.study.backbone_per_split else None)
        page, drawn = self.out / "report.html", self.study.figures is not None
        parts = ["--data", self.dataset, "--evaluation", str(self._evaluation), "--embeddings", str(self._wells)]
        if drawn:
            parts += ["--figures", str(self.out / "figures")]
        if self.study.simulate is not None:
            parts += ["--truth", str(self.out / "raw" / "truth.parquet")]
        return Step(
            name="report",
            stage="report",
            words=("report", str(run), *parts, "--out", str(page)),
            settings={},
            needs=("embed-wells", "evaluate", *(["figures"] if drawn else [])),
            outputs=(page,),
        )

    def _backbone(self, seed: int | None) -> Path:
        return self.out / "runs" / _name("pretrain", seed)

    def _tiles(self, seed: int | None) -> Path:
        return self.out / "embeddings" / f"{_name('tiles', seed)}.h5ad"

    @property
    def _wells(self) -> Path:
        return self.out / "embeddings" / "wells.h5ad"

    def _run(self, seed: int) -> Path:
        return self.out / "runs" / f"heads-{seed}"

    def _predictions(self, seed: int) -> Path:
        return self.out / "predictions" / f"split-{seed}"

    @property
    def _with_intervals(self) -> Path:
        return self.out / "predictions-with-intervals"

    def _evaluated(self, seed: int) -> Path:
        known = self._predictions(seed)
        return self._with_intervals / known.name if self._calibrates_by_splits else known

    @property
    def _evaluation(self) -> Path:
        return self.out / "evaluation"


def shown(stage: StageConfig) -> str:
    """Return the file of a step as a person types it: from the working folder where it lies below it."""
    file = Path(stage.config).absolute()
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _name(stage: str, seed: int | None) -> str:
    return stage if seed is None else f"{stage}-{seed}"
