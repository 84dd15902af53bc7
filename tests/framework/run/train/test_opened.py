"""A run put on a dataset: which part, whose split, what it can do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import TRIPLET, config, tiny_data

from framework.data import split
from framework.data.plan import EveryTile
from framework.errors import ConfigError, DatasetError, RunError
from framework.objectives import Embeds, Paints, Predicts
from framework.run import OpenedRun, fit, open_run, verify_run
from wellstream import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> OpenedRun:
    """A triplet run of one step."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("opened")
    tiny_data(folder / "data")
    settings = config(TRIPLET, "train.steps=1", "optim.warmup_steps=0", run=folder / "run", data=folder / "data")
    return open_run(fit(settings))


def test_a_part_is_that_of_the_runs_own_split(run: OpenedRun) -> None:
    on = run.on(None, "test")
    parts = split.read(run.folder.split_file, on.dataset.bags)
    assert on.bags().tolist() == np.flatnonzero(parts == "test").tolist()
    assert np.array_equal(np.unique(on.dataset.index.bag[on.tiles()]), on.bags())
    assert on.universe().bags.tolist() == on.bags().tolist()
    assert len(run.on(None).tiles()) == len(on.dataset.index)


def test_batches_are_the_pixels_of_every_tile_in_the_channels_of_the_run(run: OpenedRun) -> None:
    on = run.on(None, "val")
    batches = list(on.batches(EveryTile(on.universe(), rows=7)))
    ids = np.concatenate([batch.tile_ids[batch.weights > 0, 0].numpy() for batch in batches])
    assert ids.tolist() == on.tiles().tolist()
    stored = np.empty((1, *on.store.sample_shape), dtype=on.store.dtype)
    on.store.gather(ids[-1:], stored)
    pixels = torch.from_numpy(stored.astype(np.float32))
    mean, sd = pixels.mean(dim=(-1, -2), keepdim=True), pixels.std(dim=(-1, -2), keepdim=True, correction=0)
    last = batches[-1].tiles[batches[-1].weights > 0, 0][-1:]
    torch.testing.assert_close(last, (pixels - mean) / sd, rtol=1e-3, atol=1e-3)
    with on.computing():
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()


def test_wells_of_another_dataset_are_unseen(run: OpenedRun, tmp_path: Path) -> None:
    make_dataset(tmp_path / "others", bags=6)
    on = run.on(tmp_path / "others")
    assert set(on.parts) == {"unseen"}
    assert on.bags().tolist() == list(range(6))
    with pytest.raises(RunError, match=r"others: no bag in part 'train' \(parts: unseen\); use part all"):
        run.on(tmp_path / "others", "train").bags()
    with pytest.raises(RunError, match=r"others: no tile in part 'test' \(parts: unseen\); use part all"):
        run.on(tmp_path / "others", "test").tiles()


def test_what_it_cannot_be_put_on_is_said(run: OpenedRun, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="part: expected one of: train, val, test, all, found 'trian'; did you mean"):
        run.on(None, "trian")
    with pytest.raises(DatasetError, match="no such dataset folder"):
        run.on(tmp_path / "nowhere")
    nothing = replace(run.on(None), parts=np.asarray([], dtype=np.str_))
    with pytest.raises(RunError, match="data: no tiles in this dataset"):
        nothing.tiles()


def test_a_role_is_the_objective_or_a_sentence(run: OpenedRun) -> None:
    assert run.having(Embeds) is run.objective
    for role, sentence in (
        (
            Predicts,
            "does not predict; those that do: cell_expression, marker_regression, "
            "omics_bags, omics_heads; this run can: "
            "wellstream embed ",
        ),
        (Paints, "does not inpaint; those that do: paired_inpainting; this run can: wellstream embed "),
    ):
        with pytest.raises(RunError) as error:
            run.having(role)
        root = run.folder.root
        assert str(error.value) == f"{root}: objective 'triplet_mil' {sentence}{root}"


def test_a_dataset_of_other_wells_under_the_same_name_counts_as_unseen(
    run: OpenedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_dataset(tmp_path / "data", bags=60)
    assert set(run.on(tmp_path / "data").parts) == {"unseen"}
    assert "all its wells count as unseen" in caplog.text


def test_other_pixels_under_the_names_of_the_runs_bags_are_said(
    run: OpenedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_data(tmp_path / "data", seed=1)
    own, others = run.on(None), run.on(tmp_path / "data")
    assert others.parts.tolist() == own.parts.tolist()
    (line,) = [record.getMessage() for record in caplog.records if "but other pixels" in record.getMessage()]
    assert line.startswith(f"{tmp_path / 'data'} has the name 'data' of the dataset that {run.folder.root} was trained")


def _shifted(file: Path) -> None:
    """Take other statistics than the training part has."""
    facts = json.loads(file.read_text())
    facts["name"] = "none"
    file.write_text(json.dumps(facts))


EDITS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "scale": ("scale.json", _shifted, "scale.json: not the scaling that the checkpoint was made with"),
    "split": (
        "split.csv",
        lambda file: file.write_text(file.read_text().replace(",test", ",train")),
        "split.csv: not the split that the checkpoint was made with",
    ),
    "no split": ("split.csv", lambda file: file.unlink(), "split.csv: missing"),
    "objective": (
        "objective.json",
        lambda file: file.write_text(file.read_text().replace('"dataset": "data"', '"dataset": "other"')),
        "objective.json: not what the checkpoint was made with",
    ),
    "config": (
        "config.yaml",
        lambda file: file.write_text(file.read_text().replace("margin: 0.2", "margin: 0.3")),
        "objective.margin: 0.3 there, 0.2 here|config.yaml: objective.margin is 0.3, the checkpoint was made with 0.2",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_files_that_are_not_those_of_the_checkpoint_are_refused_by_every_command(
    run: OpenedRun, tmp_path: Path, name: str
) -> None:
    shutil.copytree(run.folder.root, tmp_path / "run")
    file, edit, said = EDITS[name]
    before = (tmp_path / "run" / file).read_bytes()
    edit(tmp_path / "run" / file)
    assert not (tmp_path / "run" / file).exists() or (tmp_path / "run" / file).read_bytes() != before
    settings = run.config.model_copy(update={"run_dir": str(tmp_path / "run")})
    for use in (open_run, verify_run, lambda _: fit(settings)):
        with pytest.raises(RunError, match=said):
            use(tmp_path / "run")


def _trained_on_a_gpu(run: OpenedRun, tmp_path: Path) -> Path:
    """Copy a run and let its config say what a run on a GPU says."""
    copy = shutil.copytree(run.folder.root, tmp_path / "run")
    file = copy / "config.yaml"
    file.write_text(file.read_text().replace("device: auto", "device: cuda"))
    return copy


def test_a_run_of_a_gpu_opens_on_a_machine_without_one(
    run: OpenedRun, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    copy = _trained_on_a_gpu(run, tmp_path)
    opened = open_run(copy)
    said = [record.message for record in caplog.records if "computing on the CPU" in record.message]
    assert said == ["the run was trained with train.device=cuda and there is no CUDA device here: computing on the CPU"]
    assert opened.on(None).ranks.device.type == "cpu"
    assert torch.equal(next(opened.objective.parameters()), next(run.objective.parameters()))
    caplog.clear()
    for device in ("cpu", "auto"):
        assert open_run(copy, device=device).ranks.device.type == "cpu"
    assert not caplog.records
    with pytest.raises(
        ConfigError, match="device: expected a CUDA device, found none; leave it out, or use --device cpu"
    ):
        open_run(copy, device="cuda")
    with pytest.raises(ConfigError, match=r"expected one of: auto, cpu, cuda, found 'cdua'; did you mean 'cuda'\?"):
        open_run(copy, device="cdua")


def test_every_use_of_a_run_takes_a_device(run: OpenedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    mine = Run(run.folder.root, "cuda")
    uses: dict[str, Callable[[], object]] = {
        "embed": lambda: mine.write_embeddings(tmp_path / "a.h5ad"),
        "layers": lambda: mine.write_layers(tmp_path / "a", ["trunk"]),
        "predict": lambda: mine.write_predictions(tmp_path / "p"),
        "inpaint": lambda: mine.inpaint(tmp_path / "i"),
        "saliency": lambda: mine.saliency(tmp_path / "s.npz"),
    }
    for use in uses.values():
        with pytest.raises(ConfigError, match="device: expected a CUDA device, found none"):
            use()
    assert not list(tmp_path.iterdir())
