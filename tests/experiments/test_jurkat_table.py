"""The tables on Jurkat cells: the commands they come from are valid, and what is read is what these wrote."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset
from rich.console import Console

from data_tools.pipeline import load_ingest_config
from experiments.demo.steps import Protocol
from experiments.ifc_seq import jurkat_table
from experiments.ifc_seq.jurkat_table import BESIDE, COMMITTED, FOLDS, VARIANTS, VIEWS, collect, main, make
from framework.errors import InputError
from framework.run import load_run_config


class Recorded(Protocol):
    """A protocol that runs nothing."""

    def run(self, title: str, *arguments: object) -> None:
        self.seconds.append((title, 0.0))
        commands.append([str(argument) for argument in arguments])


commands: list[list[str]] = []


def test_every_command_is_one_that_wellstream_takes(tmp_path: Path) -> None:
    commands.clear()
    make(Path("cells"), tmp_path, Recorded(console=Console(quiet=True)))
    trained, tested = {}, []
    for verb, first, *others in commands:
        settings = [word for word in others if "=" in word]
        if verb == "ingest":
            config = load_ingest_config(Path(first), settings)
            assert config.sources[0].reader.path == "cells/exp1_a.npz"
        elif verb == "train":
            run = load_run_config(Path(first), settings)
            trained[Path(run.run_dir).name] = run
            tested.append(set(run.split.test or ()))
        else:
            assert first.startswith(str(tmp_path))
    assert list(trained)[: len(VARIANTS)] == [one.name for one in VARIANTS]
    assert trained["paper"].optim.schedule.name == "constant"
    assert trained["brightfield"].train.patience == 30
    folds = tested[len(VARIANTS) : len(VARIANTS) + FOLDS]
    assert sorted(group for fold in folds for group in fold) == [f"{group:02d}" for group in range(30)]
    verbs = [command[0] for command in commands]
    beside = [command for command in commands if "--baselines" in command]
    assert [Path(command[1]).relative_to(tmp_path).as_posix() for command in beside] == [
        "brightfield/dna-8.h5ad",
        "brightfield_darkfield/dna-8.h5ad",
    ]
    scored = len(VARIANTS) * len(VIEWS)
    assert {verb: verbs.count(verb) for verb in set(verbs)} == {
        "ingest": 2,
        "train": len(VARIANTS) + FOLDS + 1,
        "predict": scored,
        "evaluate": scored,
        "embed": FOLDS + 1,
    }


def baselines(r: float) -> dict[str, object]:
    """What an evaluation says of one baseline beside a network of r."""
    row = {"target": "DNA sum", "says": "brightness of each channel", "score": r - 0.3, "verdict": "above"}
    row |= {"difference": 0.3, "difference_low": 0.2, "difference_high": 0.4}
    best = row | {"best": "intensity", "model": r}
    rows = [row | {"baseline": "intensity"}]
    return {"score": "r", "how": "", "unit": "cell", "resamples": 9, "missing": {}, "targets": [best], "rows": rows}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What the commands leave: the n-th variant has r = n / 10, and a tenth less from one view."""
    for number, one in enumerate(VARIANTS):
        for views in VIEWS:
            folder = tmp_path / one.name / f"evaluation-{views}"
            folder.mkdir(parents=True)
            r = number / 10 - 0.1 * (views == 1)
            keys = ("r", "r_low", "r_high", "r_fisher_low", "r_fisher_high")
            summary: dict[str, object] = {"rows": [dict.fromkeys(keys, r)]}
            if one.name in BESIDE and views == 8:
                summary["baselines"] = baselines(r)
            (folder / "evaluation.json").write_text(json.dumps(summary))
        (tmp_path / one.name / "summary.json").write_text(json.dumps({"steps": 510, "best_step": number}))
    for data in ("data", "data-phase"):
        make_dataset(tmp_path / data, bags=6, tiles_per_bag=20)
    phase = np.random.default_rng(0).permutation(np.repeat(["G1", "G2"], 60))
    for fold, folder in enumerate((*(f"phase-{fold}" for fold in range(FOLDS)), "features")):
        part = np.where(np.arange(120) % FOLDS == fold % FOLDS, "test", "train")
        obs = pd.DataFrame({"Metadata_Phase": phase, "part": part}).set_index(pd.Index([str(i) for i in range(120)]))
        (tmp_path / folder).mkdir()
        anndata.AnnData((phase == "G2").astype(np.float32)[:, None], obs).write_h5ad(tmp_path / folder / "cells.h5ad")
    return tmp_path


def test_the_tables_hold_what_was_evaluated(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = collect(made)
    assert [row["best_step"] for row in found["dna"]] == list(range(len(VARIANTS)))
    assert [row["views"]["8"]["r"] for row in found["dna"]] == [number / 10 for number in range(len(VARIANTS))]
    assert found["dna"][2]["views"]["1"]["r"] == pytest.approx(0.1)
    learned = {(row["features"], row["k"]): row["accuracy"] for row in found["phase"]}
    assert learned["learned", 5] == 1.0
    assert learned["15 intensity statistics", 5] < 0.8
    assert sum(row["features"] == "learned" for row in found["features"]) == 3
    assert [of["targets"][0]["model"] for of in found["baselines"].values()] == [0.0, 0.1]
    jurkat_table.show(Console(), found)
    shown = capsys.readouterr().out
    assert "as committed" in shown
    assert f"{COMMITTED.name}: DNA sum: the model is above the best baseline (intensity, brightness of" in shown


def test_scores_of_several_markers_are_refused(made: Path) -> None:
    file = made / VARIANTS[0].name / "evaluation-1" / "evaluation.json"
    file.write_text(json.dumps({"rows": []}))
    with pytest.raises(InputError, match="expected the scores of one marker, found 0"):
        collect(made)


def test_a_missing_folder_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["jurkat_table", "--cells", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert main() == 1
    shown = capfd.readouterr()
    assert "exp1_a.npz" in shown.out + shown.err
    assert "Traceback" not in shown.out + shown.err
