"""What is compared: models of two stages and of one, trained on the same splits, and what they must beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments.demo.steps import overrides
from experiments.image2omics.together.scores import Block, Floats
from experiments.image2omics.together.settings import HERE, Setting
from framework.baselines import BASELINES, BaselineMissing, Rows, ridge
from framework.baselines.networks import features_of_run
from framework.data import split as splits
from framework.data.dataset import Dataset
from framework.files.h5ad import read_h5ad
from framework.files.json_file import read_mapping
from framework.run import RunConfig, embed, fit, load_run_config, predict

PRETRAIN = "pretrain"
FROZEN = "linear heads on the frozen backbone"
RIDGE = "ridge regression on the frozen backbone"
_OF_RUN = {RIDGE: False, "ridge regression on the same backbone, untrained": True}
"""Row -> whether the backbone has the weights that it began with."""
_FACTS = ("steps", "best_step", "seconds")


@dataclass(frozen=True, kw_only=True)
class Model:
    """One row of the table.

    Attributes:
        title: of the row.
        stage: the YAML beside this file.
        pool: of ``omics_bags``.
        scratch: whether it begins without the pretrained backbone.
    """

    title: str
    stage: str = "bags"
    pool: str = "mean"
    scratch: bool = False

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        return self.stage if self.stage != "bags" else f"{'scratch' if self.scratch else 'pretrained'}-{self.pool}"


MODELS = (
    Model(title=FROZEN, stage="heads"),
    Model(title="together, from scratch, mean", scratch=True),
    Model(title="together, from scratch, gated attention", pool="gated_attention", scratch=True),
    Model(title="together, from pretraining, mean"),
    Model(title="together, from pretraining, gated attention", pool="gated_attention"),
    Model(title="together, from pretraining, set attention", pool="set_attention"),
)


def train_all(setting: Setting, console: Console) -> None:
    """Train and predict every model for every split and seed; what is there already is kept.

    Raises:
        WellstreamError: a run failed.
    """
    for seeds in setting.repeats:
        for split, seed in seeds.items():
            folder = _folder(setting, split, seed)
            shared = (f"train.seed={seed}", setting.splits[split])
            first = _config(PRETRAIN, folder / PRETRAIN, (*setting.changed(PRETRAIN), *shared))
            if not (folder / "tiles.h5ad").is_file():
                console.print(f"{setting.title}, split {split}, seed {seed}: {PRETRAIN}")
                embed(fit(first), None, folder / "tiles.h5ad")
            for model in MODELS:
                run = folder / model.folder
                if not _predicted(run, setting.targets[-1]).is_file():
                    console.print(f"{setting.title}, split {split}, seed {seed}: {model.title}")
                    fit(_config_of(model, run, first, (*setting.changed(model.stage), *shared)))
                    one = len(setting.targets) == 1
                    predict(run, None, _predicted(run, setting.targets[0]) if one else run / "predictions", seeds=1)


def _config(stage: str, run: Path, words: tuple[str, ...]) -> RunConfig:
    return load_run_config(HERE / f"{stage}.yaml", [*words, f"run_dir={run}"])


def _config_of(model: Model, run: Path, first: RunConfig, words: tuple[str, ...]) -> RunConfig:
    """Return the config of a model; one from scratch passes as many tiles as both stages do."""
    folder = run.parent
    if model.stage == "heads":
        places = overrides(objective__pretrained=folder / PRETRAIN, data__embeddings=folder / "tiles.h5ad")
        return _config(model.stage, run, (*words, *places))
    words = (*words, f"objective.pool={model.pool}")
    if not model.scratch:
        return _config(model.stage, run, (*words, f"objective.pretrained={folder / PRETRAIN}"))
    backbone = getattr(first.objective, "backbone").plain()  # noqa: B009 - the objective is any entry of a registry
    changes = overrides(objective__pretrained="null", objective__backbone=backbone)
    second = _config(model.stage, run, (*words, *changes))
    steps = second.train.steps + round(_tiles(first) / (_tiles(second) / second.train.steps))
    return _config(model.stage, run, (*words, *changes, f"train.steps={steps}", f"train.save_every={steps}"))


def _tiles(config: RunConfig) -> int:
    """Return the number of tiles that pass forward and back in all steps of a run."""
    sizes = config.plan.plain()
    return int(config.train.steps * sizes.get("conditions", 1) * sizes["bags"] * sizes["tiles"])


def blocks_of(setting: Setting) -> tuple[list[list[Block]], dict[str, str]]:
    """Return the predictions of models and baselines for the test bags, per repeat, and the baselines that are missing.

    Raises:
        WellstreamError: predictions that cannot be read.
    """
    dataset = setting.opened()
    features, missing = _features(setting, dataset)
    return [
        [
            block
            for split, seed in seeds.items()
            for block in _blocks(setting, dataset, features, split, _folder(setting, split, seed))
        ]
        for seeds in setting.repeats
    ], missing


def costs_of(setting: Setting) -> dict[str, dict[str, float]]:
    """Return stage or row -> the mean over runs of its steps, best step and seconds of training."""
    runs = [_folder(setting, split, seed) for seeds in setting.repeats for split, seed in seeds.items()]
    names = {PRETRAIN: PRETRAIN} | {model.folder: model.title for model in MODELS}
    found = {}
    for folder, title in names.items():
        summaries = [read_mapping(run / folder / "summary.json") for run in runs]
        found[title] = {key: float(np.mean([each[key] or each["steps"] for each in summaries])) for key in _FACTS}
    return found


def _features(setting: Setting, dataset: Dataset) -> tuple[dict[str, Floats], dict[str, str]]:
    """Return what each baseline says of all bags, (B, D), NaN where there are no tiles."""
    found, missing = {}, {}
    rows = _rows(dataset, None)
    for name in setting.baselines:
        entry = BASELINES.get(name)
        baseline = entry.build(entry.config())
        try:
            found[f"ridge regression on: {baseline.says}"] = _of_bags(dataset, rows, baseline.features(rows))
        except BaselineMissing as error:
            missing[name] = str(error)
    return found, missing


def _rows(dataset: Dataset, run: Path | None) -> Rows:
    with_tiles = np.flatnonzero(np.diff(dataset.index.bag_start)).astype(np.int64)
    return Rows.of(dataset, "bag", with_tiles, run=run)


def _of_bags(dataset: Dataset, rows: Rows, values: Floats) -> Floats:
    found = np.full((len(dataset.bags), values.shape[1]), np.nan)
    found[rows.ids] = values
    return found


def _blocks(
    setting: Setting, dataset: Dataset, features: dict[str, Floats], split: str, folder: Path
) -> Iterator[Block]:
    rows = _rows(dataset, folder / PRETRAIN)
    of_run = {
        title: _of_bags(dataset, rows, features_of_run(rows, untrained=untrained))
        for title, untrained in _OF_RUN.items()
    }
    features = of_run | features
    parts = splits.read(folder / PRETRAIN / "split.csv", dataset.bags)
    groups = dataset.bags[setting.groups].astype(str).to_numpy(dtype=object)
    for target in setting.targets:
        yield _block(setting, dataset, features, split, folder, target, parts, groups)


def _block(
    setting: Setting,
    dataset: Dataset,
    features: dict[str, Floats],
    split: str,
    folder: Path,
    target: str,
    parts: splits.Parts,
    groups: Any,
) -> Block:
    table = dataset.target(target)
    genes = [name for name in table.var_names if name in setting.genes.get(target, table.var_names)]
    labels = table[:, genes].to_df().set_axis(table.obs["bag"].to_numpy()).astype(np.float64)
    # Of stimulation M1 wells of M2 have predictions too, and no label.
    with_tiles = np.diff(dataset.index.bag_start)[labels.index] > 0
    bags = labels.index[(parts[labels.index] == "test") & with_tiles].to_numpy()
    predicted: dict[str, Floats] = {}
    for model in MODELS:
        file = read_h5ad(_predicted(folder / model.folder, target))
        said = file.to_df().set_axis(file.obs["bag"].to_numpy(dtype=np.int64)).reindex(index=bags, columns=genes)
        predicted[model.title] = said.fillna(0.0).to_numpy(np.float64)
    train = labels.index[(parts[labels.index] == "train") & with_tiles].to_numpy()
    codes = np.unique(groups[train].astype(str), return_inverse=True)[1].astype(np.int64)
    for title, values in features.items():
        predicted[title] = ridge(values[train], labels.loc[train].to_numpy(), values[bags], codes).predicted
    return Block(
        split=split,
        target=target,
        measured=labels.loc[bags].to_numpy(),
        predicted=predicted,
        groups=groups[bags],
    )


def _folder(setting: Setting, split: str, seed: int) -> Path:
    return setting.folder / "runs" / f"split-{split}-seed-{seed}"


def _predicted(run: Path, target: str) -> Path:
    return run / "predictions" / f"{target}.h5ad"
