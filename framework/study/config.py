"""``StudyConfig``: which configs a study is made of, its splits, and how it predicts and evaluates.

A study names the configs of its steps instead of repeating them: each works alone too, with the command that is
printed. What the steps hand to each other (folders, seeds of splits) the study sets itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from framework.config import StrictModel
from framework.config.load import build_config
from framework.config.source import read_yaml


class StageConfig(StrictModel):
    """A command that reads a config of its own."""

    config: str = Field(min_length=1, description="the YAML of this step; a path begins at the folder of the study's")
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Dotted key of that YAML -> value; ``{out}`` in text stands for the folder of the study."""


class PretrainStage(StageConfig):
    """The pretraining of the backbone."""

    nproc: int = Field(default=1, ge=1)
    """Processes on this machine, one per GPU."""


class PredictStage(StrictModel):
    """Predictions of the held-out wells; the defaults are the paper's."""

    tiles: int = Field(default=512, ge=1)
    """Tiles sampled per well."""
    seeds: int = Field(default=3, ge=1)
    """Number of draws that are averaged."""
    views: Literal[1, 4, 8, "image2omics"] = 1
    """Mirror images of a tile that are averaged; more than one reads the pixels again."""
    part: Literal["test", "all"] = "test"
    """Which wells."""


class FiguresStage(StrictModel):
    """Figures of the evaluation, as ``wellstream figure`` draws them."""

    names: tuple[str, ...] = Field(default=("all",), min_length=1)
    """Entries of ``FIGURES``; ``all``: every figure whose inputs exist."""
    locations: str | None = None
    """``subcellular_location.tsv`` of the Human Protein Atlas."""
    pathways: str | None = None
    """Gene sets (.gmt)."""


class StudyConfig(StrictModel):
    """A study: from raw exports, or from a dataset, to statistics and a page."""

    out: str = Field(min_length=1, description="the folder for everything that the study makes")
    simulate: StageConfig | None = None
    """A simulated plate to begin with, written to ``{out}/raw``."""
    ingest: StageConfig | None = None
    """From raw exports to the dataset ``{out}/data``; or ``dataset``."""
    dataset: str | None = None
    """A finished dataset (folder or URL) in the place of ``ingest``."""
    pretrain: PretrainStage
    """The pretraining of the backbone."""
    heads: StageConfig
    """Heads of omics targets on the backbone."""
    split_seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    """``split.seed`` of each split; the paper has ten."""
    backbone_per_split: bool = False
    """Whether each split has its own pretraining, so that no backbone has seen a perturbation that its split holds out.
    If not, one backbone serves all splits, with the split of its config."""
    heads_together: bool = False
    """Whether ``wellstream heads`` trains all models at once, one per target and split as in the paper. If not, each
    split is one run with a head per target. Then one pass over the tiles predicts all targets, which saves time if
    ``predict.views`` reads pixels."""
    embeddings: bool = True
    """Whether heads train on cached embeddings of tiles: same numbers, a fraction of the time."""
    predict: PredictStage = PredictStage()
    """Predictions of wells."""
    interval: float | None = Field(default=None, gt=0, lt=1)
    """Share of measured values that intervals around predictions hold, such as 0.9. With ten splits or more, test parts
    calibrate them (``wellstream intervals``); with fewer, the part ``val`` of each split (``predict --interval``)."""
    evaluate: dict[str, Any] = Field(default_factory=dict)
    """Options of ``wellstream evaluate``, as ``{test: mann_whitney, unit: condition}``; ``{baselines: all}`` sets the
    model beside its baselines."""
    figures: FiguresStage | None = None
    """What to draw into ``{out}/figures``; the page shows it too."""
    report: bool = True
    """Whether to write ``{out}/report.html``."""

    @field_validator("split_seeds")
    @classmethod
    def _each_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            raise ValueError(f"{', '.join(map(str, twice))} is listed twice; list each seed once")
        return seeds

    @model_validator(mode="after")
    def _has_data(self) -> StudyConfig:
        if (self.ingest is None) == (self.dataset is None):
            raise ValueError("expected exactly one of 'ingest', the config that makes a dataset, and 'dataset'")
        if self.heads_together and not self.embeddings:
            raise ValueError("heads_together: heads are trained at once from embeddings; leave out 'embeddings: false'")
        if self.simulate is not None and self.ingest is None:
            raise ValueError("'simulate' writes a raw export, which a study with 'dataset' does not read; leave it out")
        return self

    def located(self, folder: Path) -> StudyConfig:
        """Return the study with the configs of its steps found from ``folder``, where the study's own file lies."""
        changes = {
            name: stage.model_copy(update={"config": str(folder / Path(stage.config).expanduser())})
            for name in ("simulate", "ingest", "pretrain", "heads")
            if (stage := getattr(self, name)) is not None
        }
        return self.model_copy(update=changes)


def load_study_config(path: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study's YAML, or take what it would hold as a mapping.

    Raises:
        ConfigError: with one line per mistake as ``framework.config.load_config``.
    """
    study = build_config(read_yaml(path), StudyConfig, overrides)
    return study.located(Path(path).parent) if isinstance(path, str | Path) else study
