"""``export``: a trained network as files for other programs: weights, their description, a model card, a program.

::

    FOLDER/
      model.safetensors   weights of the network that embeds, by our parameter names
      model.json          network, channels in order, scaling and its numbers, licence, training data
      README.md           the model card
      model.pt2           scaling and network for ``torch.export.load``: stored pixels in, embeddings out

Another run can begin with these weights: ``backbone: {name: ..., weights: FOLDER}``.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch

from framework.data.format.schema import Manifest
from framework.durable import folder_beside, sync_file, sync_folder, write_json, write_text
from framework.errors import RunError
from framework.files.outputs import check_output_folder
from framework.files.tensors import save_tensors
from framework.models import NetworkOptions
from framework.models.weights_file import KIND, MODEL_FILE, TENSORS_FILE
from framework.objectives import Embeds
from framework.run.apply.model_card import model_card
from framework.run.apply.portable import portable, write_program
from framework.run.apply.results import ExportSummary
from framework.run.train.opened import OpenedRun
from framework.run.train.pretrained import open_run
from framework.tracking import versions

PROGRAM, CARD = "model.pt2", "README.md"
_FORMAT = 1


def export(
    run: Path | str,
    out: Path | str,
    *,
    data: Path | str | None = None,
    licence: str | None = None,
    program: bool = True,
) -> ExportSummary:
    """Write the network of a trained run for other programs.

    Args:
        run: run folder; its best or newest checkpoint is used.
        out: folder to write; an earlier export in it is replaced.
        data: dataset whose tiles have the right size; None: the one the run trained on.
        licence: licence of the weights, as ``CC-BY-4.0``; it stands in ``model.json`` and in the model card.
        program: whether to write ``model.pt2``.

    Returns:
        What was written.

    Raises:
        RunError: a run that cannot embed, a folder that holds other files, or a network that cannot be traced.
        WellstreamError: the run cannot be opened.
        OSError: the folder cannot be written; nothing of the export is left.
    """
    opened, folder = open_run(run, device="cpu"), Path(out)
    opened.having(Embeds)
    _need_free(folder)
    check_output_folder(folder)
    manifest = opened.on(data).dataset.manifest
    with folder_beside(folder) as beside:
        beside.mkdir(parents=True)
        facts = _write(opened, manifest, beside, licence, program)
        _publish(beside, folder)
    files = (TENSORS_FILE, MODEL_FILE, CARD, *((PROGRAM,) if program else ()))
    return ExportSummary(
        folder=folder,
        files=files,
        network=facts["network"]["name"],
        channels=tuple(facts["channels"]),
        width=facts["embedding"]["width"],
        step=opened.step,
        licence=licence,
    )


def _need_free(folder: Path) -> None:
    """Refuse a folder that holds anything but an export."""
    if not folder.exists():
        return
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {folder.name}
    foreign = sorted(names - {MODEL_FILE, TENSORS_FILE, PROGRAM, CARD})
    if foreign or (names and MODEL_FILE not in names):
        raise RunError(
            f"{folder}: holds {(foreign or sorted(names))[0]} and is not an earlier export; name a new folder"
        )


def _write(opened: OpenedRun, manifest: Manifest, folder: Path, licence: str | None, program: bool) -> dict[str, Any]:
    objective = opened.having(Embeds)
    state = objective.feature_network().state_dict()
    save_tensors(folder / TENSORS_FILE, state)
    shape = (len(opened.scale.channels), manifest.tile.height, manifest.tile.width)
    module = portable(objective, opened.scale)
    width = int(module(torch.zeros(1, *shape)).shape[1])
    facts = _facts(opened, manifest, folder / TENSORS_FILE) | {"licence": licence}
    facts["embedding"] = {"width": width, "what": objective.embedding_note()}
    if program:
        write_program(module, folder / PROGRAM, shape)
        sync_file(folder / PROGRAM)
    write_json(folder / MODEL_FILE, facts)
    write_text(folder / CARD, model_card(facts, has_program=program))
    return facts


def _facts(opened: OpenedRun, manifest: Manifest, weights: Path) -> dict[str, Any]:
    """Return ``model.json`` but for licence and embedding."""
    objective, measured, tile = opened.having(Embeds), opened.folder.objective_facts(), manifest.tile
    began = opened.folder.taken()
    options = objective.feature_options()
    plain = options.without_weights().plain() if isinstance(options, NetworkOptions) else options.plain()
    return {
        "kind": KIND,
        "format": _FORMAT,
        "network": plain,
        "channels": list(objective.feature_channels()),
        "input": {
            "channels": list(opened.scale.channels),
            "height": tile.height,
            "width": tile.width,
            "dtype": tile.dtype,
            "pixel_size_um": manifest.pixel_size_um,
        },
        "scale": opened.scale.plain(),
        "training": {
            "objective": opened.config.objective.located(_name).plain(),
            "dataset": measured.dataset,
            "dataset_digest": measured.dataset_digest,
            "step": opened.step,
            "began_with": began and began | {"file": _name(began["file"])},
        },
        "checkpoint_sha256": opened.weights,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "versions": versions(),
    }


def _name(path: str) -> str:
    """Return the last part of a path: where files lie on this machine is nothing that others should read."""
    return Path(path).name


def _publish(beside: Path, folder: Path) -> None:
    aside = beside.with_suffix(".old")
    if folder.exists():
        folder.rename(aside)
    beside.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)
