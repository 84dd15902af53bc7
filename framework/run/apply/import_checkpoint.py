"""``import-checkpoint``: makes a run folder from a checkpoint of Image2Omics' authors, for all other commands.

The file holds the network and one linear layer to the genes of one target, without names of genes. Row i belongs to the
i-th gene of the ground truth, in order of first appearance; targets of ``import-release`` have the same order.
Predictions are z-scores of the training wells, so mean and spread of each gene are measured again on these wells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from framework import checkpoint
from framework.data import split
from framework.data.dataset import Dataset
from framework.data.scales import ScaleProfile
from framework.data.split import PARTS
from framework.data.store import TileStore
from framework.durable import new_folder
from framework.errors import CheckpointError, ConfigError, RunError, did_you_mean
from framework.files.outputs import check_output_folder
from framework.models import Aggregate, BagEncoder, MeanPoolConfig, ResNet18Config, build_backbone, take_weights
from framework.models.taking import Taken
from framework.models.weights_file import read_heads, read_weights
from framework.objectives import OmicsHeads, OmicsHeadsConfig, PretrainedBackbone
from framework.objectives.omics_heads import OmicsHeadsProfile
from framework.objectives.omics_targets import TargetTable
from framework.run.apply.results import ImportSummary
from framework.run.train.config import RunConfig
from framework.run.train.folder import Measured, RunFolder
from framework.run.train.identity import facts_of_run
from framework.run.train.prepare import measured_on
from framework.run.train.pretrained import Foundation
from framework.tracking import versions
from framework.trainer import Progress, build_optimiser

_WITHOUT = "none"
"""What ``import-release`` writes where a well has no part."""
ORDERS: Mapping[str, Aggregate] = {"backbone": "backbone", "tile_embedding": "tile_embedding"}
"""Where tiles are averaged, by the name that a user writes."""
_HEAD = re.compile(r"head\.(\d+)\.weight")


def import_checkpoint(
    file: Path | str,
    data: Path | str,
    target: str,
    out: Path | str,
    *,
    channels: tuple[str, ...] | None = None,
    split_by: str | None = None,
    aggregate: str = "backbone",
    scale: str = "per_tile_standardise",
) -> ImportSummary:
    """Make a run of a checkpoint that the authors of Image2Omics published.

    Args:
        file: the checkpoint: ``base.*``, ``head.module.*``, ``head.final``.
        data: dataset of ``import-release`` and ``ingest``, with the target.
        target: target that the checkpoint predicts, as ``transcriptomics_m1``.
        out: run folder to write.
        channels: in the order that the network saw; None: those of the dataset.
        split_by: column of bags.parquet with ``train``, ``val`` and ``test``; None: ``Metadata_Fold_<target>``.
        aggregate: ``backbone``, as the authors' code, or ``tile_embedding``, as the paper.
        scale: how pixels are scaled; the authors' code standardises each tile.

    Returns:
        What was made.

    Raises:
        CheckpointError: no such checkpoint, another network, or another number of genes than the target has.
        ConfigError: no such order.
        RunError: the folder holds something already, or the dataset lacks the column of the split.
        DatasetError: no such dataset or target.
    """
    if aggregate not in ORDERS:
        raise ConfigError(f"aggregate: expected one of: {', '.join(ORDERS)}, found '{aggregate}'")
    path, place = Path(file), _free(Path(out))
    dataset = Dataset.open(data)
    table = TargetTable.read(dataset, target)
    weight, bias = read_heads(path)
    _need_genes(path, weight, bias, table)
    names = channels or dataset.manifest.tile.channels
    backbone, taken = _backbone(path, names, ORDERS[aggregate])
    by = split_by or f"Metadata_Fold_{target}"
    config = _config(place, data, target, names, scale, _split(dataset, by)).resolved()
    train = split.bags_in(split.assign(dataset.bags, config.split), "train")
    fitted = ScaleProfile.fit(scale, TileStore(dataset, names), np.flatnonzero(np.isin(dataset.index.bag, train)))
    base = Foundation(backbone=backbone, scale=fitted, weights=taken.sha256)
    measured = measured_on(config, dataset, base)
    objective = _run_of(config, measured, backbone)
    kept = _take_heads(objective, table, weight, bias)
    with new_folder(place) as beside:
        _write(RunFolder(root=beside), config, measured, dataset, objective, taken)
    return ImportSummary(
        run=place,
        target=target,
        genes=kept,
        excluded=len(table.genes) - kept,
        channels=tuple(names),
        **{part: int((measured.parts == part).sum()) for part in PARTS},
        tensors=len(taken.taken),
    )


def _take_heads(objective: OmicsHeads, table: TargetTable, weight: torch.Tensor, bias: torch.Tensor) -> int:
    """Give the heads the rows of their genes, and return how many these are."""
    kept = torch.from_numpy(table.genes.get_indexer(pd.Index(objective.targets[0].genes)))
    objective.heads[0].load_state_dict({"weight": weight[kept].float(), "bias": bias[kept].float()})
    return len(kept)


def _free(out: Path) -> Path:
    """Return a folder that a run may be written to, before anything is read for it."""
    check_output_folder(out)
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: already holds files; name a new folder")
    return out


def _write(
    folder: RunFolder, config: RunConfig, measured: Measured, dataset: Dataset, objective: OmicsHeads, taken: Taken
) -> None:
    """Write the run as one that made no step."""
    facts = folder.write(config, measured, dataset.bags)
    folder.write_taken(taken)
    folder.write_config(config)
    state = {
        "run": facts_of_run(folder, config),
        "attempt": 0,
        "seed": 0,
        "world_size": 1,
        "objective": facts.plain(),
        "scale": measured.scale.plain(),
        "channels": list(measured.scale.channels),
        "progress": Progress().plain(),
        "versions": versions(),
    }
    optimiser = build_optimiser(objective, config.optim)
    contents = checkpoint.contents_of(step=0, objective=objective, optimiser=optimiser, scheduler=None, state=state)
    checkpoint.write(folder.checkpoints, contents)


def _need_genes(path: Path, weight: torch.Tensor, bias: torch.Tensor, table: TargetTable) -> None:
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or len(weight) != len(table.genes):
        raise CheckpointError(
            f"{path}: head.final is {' x '.join(map(str, weight.shape))}, target '{table.name}' of {table.where} has "
            f"{len(table.genes)} genes; name the target that the checkpoint was trained on"
        )
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise CheckpointError(f"{path}: head.final holds values that are not finite numbers; copy it again")


def _backbone(path: Path, channels: tuple[str, ...], aggregate: Aggregate) -> tuple[PretrainedBackbone, Taken]:
    """Return the network of a checkpoint, its sizes read off its weights."""
    state = read_weights(path).state
    layers = sorted((int(found[1]), len(value)) for name, value in state.items() if (found := _HEAD.fullmatch(name)))
    stem = state.get("trunk.conv1.weight")
    if stem is None or not layers or stem.ndim != 4:
        raise CheckpointError(f"{path}: not a network of Image2Omics: expected base.0.weight and head.module.1.weight")
    if stem.shape[1] != len(channels):
        raise CheckpointError(
            f"{path}: the network takes {stem.shape[1]} channels, but the dataset has {len(channels)} "
            f"({', '.join(channels)}); name those of the network, in its order, with --channels"
        )
    options = ResNet18Config(dense=tuple(size for _, size in layers), width=len(stem))
    encoder = BagEncoder(build_backbone(options, len(channels)), aggregate=aggregate)
    taken = take_weights(encoder.encoder, options.model_copy(update={"weights": str(path)}), channels)
    backbone = PretrainedBackbone(
        encoder_config=options,
        aggregate=aggregate,
        pool=MeanPoolConfig(),
        l2_normalise=False,
        channels=channels,
        state=encoder.state_dict(),
    )
    return backbone, taken


def _run_of(config: RunConfig, measured: Measured, backbone: PretrainedBackbone) -> OmicsHeads:
    options = OmicsHeadsConfig.from_plain(config.objective.plain())
    profile = measured.profile
    if not isinstance(profile, OmicsHeadsProfile):
        raise RunError(f"expected what omics_heads measures, found {type(profile).__name__}")
    objective = OmicsHeads(options, profile)
    objective.start_from(backbone)
    return objective


def _split(dataset: Dataset, by: str) -> dict[str, Any]:
    """Return the section ``split`` that takes over the authors' parts."""
    known = [str(name) for name in dataset.bags.columns]
    if by not in known:
        raise RunError(
            f"{dataset.where}: bags.parquet has no column '{by}' with the parts train, val and test; it has "
            f"{', '.join(known)}{did_you_mean(by, known)}; name it with --split-by"
        )
    values = {str(value) for value in dataset.bags[by].dropna()}
    if "train" not in values:
        raise RunError(
            f"{dataset.where}: no bag has '{by}: train' (it has {', '.join(sorted(values))}); the checkpoint predicts "
            "z-scores of its training wells, so they must be known: give import-release the column with --fold"
        )
    lists = {part: [part] for part in PARTS if part in values}
    return {"by": by, **lists, "unused": [_WITHOUT] if _WITHOUT in values else []}


def _config(
    place: Path, data: Path | str, target: str, channels: Sequence[str], scale: str, parts: dict[str, Any]
) -> RunConfig:
    return RunConfig.from_plain(
        {
            "run_dir": str(place),
            "data": {"path": str(data), "channels": list(channels), "scale": scale},
            "split": parts,
            "plan": {"name": "bags", "bags": 64, "tiles": 64},
            "objective": {"name": "omics_heads", "targets": [target], "authors_relu": True},
            "optim": {"name": "adamw", "lr": 5.0e-5, "weight_decay": 0.01},
            "train": {"steps": 1},
            "tracking": {"wandb": "disabled"},
        }
    )
