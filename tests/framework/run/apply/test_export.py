"""Exported networks: the files say what they are, run without this project, and begin another run."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.tiny_run import FORMS, TRIPLET, brief_runs, config, tiny_data
from safetensors.torch import load_file, save_file

from framework.data.store import TileStore
from framework.errors import CheckpointError, DatasetError, RunError
from framework.files.h5ad import read_h5ad
from framework.objectives import OBJECTIVES, Embeds
from framework.run import embed, export, fit, open_run

ALONE = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("framework", "data_tools", "wellstream", "launch", "experiments"):
            raise ImportError(name)
sys.meta_path.insert(0, Refused())
import numpy as np, torch
for folder in sys.argv[1:]:
    pixels = torch.from_numpy(np.load(folder + "/pixels.npy"))
    np.save(folder + "/theirs.npy", torch.export.load(folder + "/model/model.pt2").module()(pixels).numpy())
assert "framework" not in sys.modules
"""


# The autoencoder is a Painting, as paired_inpainting.
EXPORTED = tuple(name for name in FORMS if name != "autoencoder")
BRIEF = FORMS["triplet_mil"][1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and one run of each objective of ``EXPORTED``."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("export")
    tiny_data(folder / "data")
    brief_runs(folder, *EXPORTED)
    return folder


@pytest.fixture(scope="module")
def exported(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per run of ``EXPORTED`` with its export ``model``; a program is slow to trace, so each is made once."""
    folder = tmp_path_factory.mktemp("exported")
    for name in EXPORTED:
        (folder / name).mkdir()
        export(world / name, folder / name / "model", licence="CC-BY-4.0")
    return folder


@pytest.fixture(scope="module")
def embedded(world: Path, exported: Path) -> Path:
    """Beside each export the tiles of the run as ``pixels.npy``, and what its program makes of them, ``theirs.npy``.

    The programs run in one process, which cannot import this project.
    """
    for name in EXPORTED:
        on = open_run(world / name).on(None)
        assert isinstance(on.store, TileStore)
        ids = on.tiles()
        stored = np.empty((len(ids), *on.store.sample_shape), dtype=on.store.dtype)
        on.store.gather(ids, stored)
        np.save(exported / name / "pixels.npy", stored.astype(np.float32))
    command = [sys.executable, "-I", "-c", ALONE, *(str(exported / name) for name in EXPORTED)]
    done = subprocess.run(command, cwd=exported, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return exported


def test_every_objective_that_embeds_is_exported_here() -> None:
    embeds = {name for name in OBJECTIVES.names() if issubclass(OBJECTIVES.get(name).build, Embeds)}
    assert embeds <= set(FORMS)


@pytest.mark.parametrize("objective", EXPORTED)
def test_the_program_gives_the_same_embeddings_without_this_project(
    world: Path, embedded: Path, tmp_path: Path, objective: str
) -> None:
    embed(world / objective, None, tmp_path / "ours.h5ad")
    ours = np.asarray(read_h5ad(tmp_path / "ours.h5ad").X)
    mine = embedded / objective
    np.testing.assert_allclose(np.load(mine / "theirs.npy"), ours, rtol=1e-4, atol=1e-5)
    assert ours.shape[1] == json.loads((mine / "model" / "model.json").read_text())["embedding"]["width"]


def test_model_json_and_card_say_what_it_is(world: Path, exported: Path, tmp_path: Path) -> None:
    model = exported / "triplet_mil" / "model"
    assert {file.name for file in model.iterdir()} == {"model.safetensors", "model.json", "README.md", "model.pt2"}
    facts = json.loads((model / "model.json").read_text())
    assert facts["network"] == {"name": "small_cnn", "widths": [4, 8], "norm": "group", "dense": [8], "dropout": 0.1}
    assert (facts["channels"], facts["licence"]) == (["A", "B"], "CC-BY-4.0")
    assert facts["scale"]["name"] == "per_tile_standardise"
    assert (facts["input"]["height"], facts["input"]["width"], facts["training"]["step"]) == (16, 16, 2)
    state = load_file(model / "model.safetensors")
    trained = open_run(world / "triplet_mil").objective.state_dict()
    assert all(torch.equal(value, trained[f"bag_encoder.encoder.{name}"]) for name, value in state.items())
    card = (model / "README.md").read_text()
    for text in (
        'license: "CC-BY-4.0"',
        "| channels, in order | A, B |",
        'torch.export.load("model.pt2")',
        'backbone: {name: "small_cnn", widths: [4, 8]',
    ):
        assert text in card
    made = export(world / "marker_regression", tmp_path / "numbers", program=False)
    assert (made.width, made.step, made.files) == (8, 2, ("model.safetensors", "model.json", "README.md"))
    numbers = json.loads((tmp_path / "numbers" / "model.json").read_text())
    assert len(numbers["scale"]["mean"]) == 2
    assert not (tmp_path / "numbers" / "model.pt2").exists()
    assert "| licence | not stated |" in (tmp_path / "numbers" / "README.md").read_text()


def need_no_path(folder: Path) -> str:
    """Return the model card, after a look for absolute paths in every file of an export, packed ones too."""
    here, files = (str(folder.parent), str(Path.cwd()), str(Path.home()), sys.prefix), sorted(folder.iterdir())
    for file in files:
        content = file.read_bytes()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed:
                content = b"".join(packed.read(name) for name in packed.namelist())
        assert not [path for path in here if path.encode() in content], file.name
    return (folder / "README.md").read_text()


def test_an_export_of_heads_names_its_backbone_without_a_path(world: Path, exported: Path) -> None:
    heads = exported / "omics_heads" / "model"
    facts = json.loads((heads / "model.json").read_text())
    assert facts["training"]["objective"]["pretrained"] == "triplet_mil"
    card = need_no_path(heads)
    assert "pretrained: triplet_mil" in card
    assert str(world) not in card + json.dumps(facts)


def test_a_run_begins_with_an_export_and_says_what_it_took(world: Path, tmp_path: Path) -> None:
    export(world / "triplet_mil", tmp_path / "model", licence="MIT", program=False)
    places = {"run": tmp_path / "run", "data": world / "data"}
    changes = (*BRIEF, f"objective.backbone.weights={tmp_path / 'model'}")
    fit(config(TRIPLET, *changes, **places))
    begun = open_run(tmp_path / "run", untrained=True).objective.state_dict()
    source = open_run(world / "triplet_mil").objective.state_dict()
    assert all(torch.equal(value, source[name]) for name, value in begun.items())
    said = json.loads((tmp_path / "run" / "weights.json").read_text())
    assert (said["layout"], said["licence"], said["fresh"]) == ("an export of wellstream", "MIT", [])
    assert said["first_layer"] == "A, B by name"
    assert len(said["taken"]) == len(source)
    export(tmp_path / "run", tmp_path / "again", program=False)
    again = json.loads((tmp_path / "again" / "model.json").read_text())
    assert again["training"]["began_with"]["sha256"] == said["sha256"]
    assert again["training"]["began_with"]["file"] == "model"
    assert again["training"]["objective"]["backbone"]["weights"] == "model"
    assert "weights" not in again["network"]
    assert "| began with | weights of model (an export of wellstream, " in need_no_path(tmp_path / "again")

    export(world / "marker_regression", tmp_path / "model", program=False)
    with pytest.raises(RunError, match=r"model: not the weights that .*run began with"):
        open_run(tmp_path / "run", untrained=True)
    (tmp_path / "model" / "model.json").unlink()  # what follows from a checkpoint needs the file no more
    fit(config(TRIPLET, *changes, **places))
    with pytest.raises(CheckpointError, match=r"model: no model.json, expected a folder of 'wellstream export'"):
        fit(config(TRIPLET, *changes, **places | {"run": tmp_path / "new"}))


def test_heads_on_a_run_that_began_with_weights_do_not_read_them_again(world: Path, tmp_path: Path) -> None:
    trained = open_run(world / "triplet_mil").objective.state_dict()
    prefix = "bag_encoder.encoder."
    file = tmp_path / "weights.safetensors"
    save_file({name.removeprefix(prefix): value.clone() for name, value in trained.items()}, file)
    changes = (*BRIEF, f"objective.backbone.weights={file}", "objective.backbone.take=trunk")
    fit(config(TRIPLET, *changes, run=tmp_path / "run", data=world / "data"))
    assert json.loads((tmp_path / "run" / "weights.json").read_text())["left"] == ["head.1.bias", "head.1.weight"]
    file.unlink()
    form, brief = FORMS["omics_heads"]
    fit(config(form, *brief, run=tmp_path / "heads", data=world / "data", pretrained=tmp_path / "run"))
    assert not (tmp_path / "heads" / "weights.json").exists()


def test_an_export_replaces_an_export_and_nothing_else(world: Path, exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported / "marker_regression" / "model", tmp_path / "model")
    export(world / "triplet_mil", out, program=False)
    assert sorted(entry.name for entry in out.iterdir()) == ["README.md", "model.json", "model.safetensors"]
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"model: holds thesis.txt and is not an earlier export; name a new folder"):
        export(world / "triplet_mil", out)
    assert (out / "thesis.txt").read_text() == "mine"
    with pytest.raises(RunError, match=r"no config\.yaml, so this is not a run folder"):
        export(tmp_path, tmp_path / "else")
    with pytest.raises(RunError, match=r"is not a run folder; did you mean 'triplet_mil'\?; make one with"):
        export(world / "triplet_mi", tmp_path / "else")
    with pytest.raises(DatasetError):
        export(world / "triplet_mil", tmp_path / "else", data=tmp_path / "gone")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_an_export_that_finds_no_room_is_an_error_and_leaves_nothing(world: Path, tmp_path: Path) -> None:
    """torch ends the process where a file that it opened takes no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            export(world / "triplet_mil", tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value.filename) == str(tmp_path / "model" / "model.pt2")
    assert list(tmp_path.iterdir()) == []
