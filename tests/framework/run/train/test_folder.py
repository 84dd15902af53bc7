"""The run folder has one writer; its genes lie in a table, and folders from before there were tables open."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from fixtures.tiny_run import HEADS, TRIPLET, config, environment, tiny_data

from framework.checkpoint import listing
from framework.errors import DatasetError, RunError
from framework.run import RunFolder, config_to_train, fit, open_run, verify_run


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of omics heads of two steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("folder")
    tiny_data(folder / "data")
    few = ("train.steps=2", "train.save_every=2")
    fit(config(TRIPLET, *few, "optim.warmup_steps=0", run=folder / "triplet", data=folder / "data"))
    few = (*few, "train.evaluate_every=null")
    return fit(config(HEADS, *few, run=folder / "heads", data=folder / "data", pretrained=folder / "triplet"))


def test_genes_lie_in_a_table_and_not_in_json(heads: Path) -> None:
    facts = RunFolder(root=heads).objective_facts()
    assert [target["genes"] for target in facts.profile["targets"]] == [5, 3]
    table = pd.read_parquet(heads / "genes.parquet")
    assert table["gene"].tolist()[-1] == "prot_G2"
    state = (heads / "checkpoints" / "step-00000002" / "state.json").read_text()
    assert "prot_G2" not in state
    assert facts.tables["genes"] in state
    profile = open_run(heads).objective.profile
    assert profile.targets[1].genes == ("prot_G0", "prot_G1", "prot_G2")
    assert profile.targets[1].train_sd == tuple(table["train_sd"].tolist()[-3:])


def test_a_table_of_genes_that_was_changed_or_removed_is_named(heads: Path, tmp_path: Path) -> None:
    run = shutil.copytree(heads, tmp_path / "run")
    table = pd.read_parquet(run / "genes.parquet")
    table.assign(train_mean=table["train_mean"] + 1).to_parquet(run / "genes.parquet", index=False)
    for use in (open_run, verify_run):
        with pytest.raises(RunError, match=r"genes\.parquet: not the table that objective\.json was written with"):
            use(run)
    (run / "genes.parquet").unlink()
    with pytest.raises(RunError, match=r"genes\.parquet: missing although objective\.json names it"):
        open_run(run)


def test_a_folder_with_its_genes_in_json_still_opens(heads: Path, tmp_path: Path) -> None:
    run = shutil.copytree(heads, tmp_path / "run")
    folder = RunFolder(root=run)
    profile = folder.profile(folder.config())
    before = folder.objective_facts().plain() | {"profile": profile.plain()}
    del before["tables"]
    (run / "objective.json").write_text(json.dumps(before))
    (run / "genes.parquet").unlink()
    checkpoint = run / "checkpoints" / "step-00000002"
    state = json.loads((checkpoint / "state.json").read_text()) | {"objective": before}
    (checkpoint / "state.json").write_text(json.dumps(state))
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"]["state.json"] = listing.record_of(checkpoint / "state.json")
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    assert open_run(run).objective.profile == profile


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with (
        RunFolder(root=run).sole_writer(),
        pytest.raises(RunError, match=r"run: another process trains in this folder \(process \d+ on "),
        RunFolder(root=run).sole_writer(),
    ):
        pass
    with RunFolder(root=run).sole_writer():
        pass


def test_a_killed_writer_frees_the_folder(tmp_path: Path) -> None:
    code = "import sys, pathlib; from framework.run.train.folder import RunFolder\n"
    code += "with RunFolder(root=pathlib.Path(sys.argv[1])).sole_writer(): print('held', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {other.pid} on"), RunFolder(root=tmp_path).sole_writer():
            pass
        other.kill()
        other.wait()
    with RunFolder(root=tmp_path).sole_writer():
        pass


@pytest.mark.parametrize("name", ["config.yaml", "split.csv", "objective.json", "scale.json"])
def test_files_of_a_run_lie_in_the_run(heads: Path, tmp_path: Path, name: str) -> None:
    """Otherwise whoever writes the file elsewhere changes what the run means."""
    run = shutil.copytree(heads, tmp_path / "run")
    (run / name).rename(tmp_path / name)
    (run / name).symlink_to(tmp_path / name)
    for use in (open_run, verify_run):
        with pytest.raises(RunError, match=f"{name}: a link that leads out of the run folder"):
            use(run)
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(RunError, match=f"{name}: a pipe, socket or device"):
        open_run(run)
    (run / name).unlink()
    (tmp_path / name).rename(run / name)
    (run / "checkpoints").rename(tmp_path / "large disk")
    (run / "checkpoints").symlink_to(tmp_path / "large disk")
    assert open_run(run).step == 2


def test_the_config_in_a_copied_folder_does_not_train_in_the_first(heads: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(heads, tmp_path / "copy")
    file = copy / "config.yaml"
    with pytest.raises(RunError) as caught:
        config_to_train(file, ["train.steps=2"])
    assert str(caught.value) == (
        f"{file}: lies in the run folder {copy}, but names {heads} (run_dir). To go on with the run of this folder, "
        f"add run_dir={copy}; to train in the other, add run_dir={heads}"
    )
    for place in (copy, heads):
        assert config_to_train(file, [f"run_dir={place}"]).run_dir == str(place)


def test_a_config_trains_in_its_own_folder_and_alone_in_the_one_it_names(heads: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(heads)
    alone = Path(shutil.copy(heads / "config.yaml", tmp_path))
    for file in (heads / "config.yaml", linked / "config.yaml", alone):
        assert config_to_train(file).run_dir == str(heads)


def test_a_dataset_that_was_moved_is_told_with_the_file_that_names_it(heads: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(heads, tmp_path / "run"))
    file = run / "config.yaml"
    gone = tmp_path / "gone"
    file.write_text(file.read_text().replace(f"path: {heads.parent / 'data'}", f"path: {gone}"))
    told = f"{gone}: no such folder; {file} names it as the dataset of the run (data.path). If it was moved, "
    with pytest.raises(DatasetError) as caught:
        open_run(run).on(None)
    assert str(caught.value) == f"{told}name its new place: --data DATASET"
    with pytest.raises(DatasetError) as caught:
        verify_run(run)
    assert str(caught.value) == f"{told}write its new place into that file"
    assert len(open_run(run).on(heads.parent / "data").bags())
    gone.mkdir()
    with pytest.raises(DatasetError, match="gone: no dataset"):
        open_run(run).on(None)
