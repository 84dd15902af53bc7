"""What is done, what is done again and why, and where a study goes on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from fixtures.study_world import INGEST, STUDY, World

from framework.errors import ConfigError, RunError
from framework.study import StepFailed, plan_of, states_of

ALL = [
    "ingest", "pretrain", "embed", "embed-wells", "heads-0", "predict-0", "heads-1", "predict-1", "evaluate", "report",
]  # fmt: skip


def why(world: World, *overrides: str) -> dict[str, str | None]:
    study = world.study(*overrides)
    return {state.step.name: state.why for state in states_of(plan_of(study), Path(study.out))}


def test_a_study_is_done_once(world: World) -> None:
    first = world.do()
    assert world.ran == ALL
    assert [re.sub(r" \d+ s$", "", text) for text in first.done] == ALL
    assert first.page == Path("made/report.html")
    again = world.do()
    assert world.ran == []
    assert again.kept == tuple(ALL)
    assert again.left == ()
    record = json.loads(Path("made/steps/heads-1.json").read_text())
    assert record["command"].startswith("wellstream train heads.yaml run_dir=made/runs/heads-1 ")
    assert record["outputs"] == ["runs/heads-1"]
    assert record["settings"]["split.seed"] == 1


def test_a_changed_key_is_named_and_what_depends_on_it_is_done_again(world: World) -> None:
    world.do()
    old = Path("made/runs/heads-0")
    assert list(old.iterdir())
    changed = "heads.overrides={optim.lr: 0.25}"
    reasons = why(world, changed)
    assert reasons["heads-0"] == "again: optim.lr was 0.0001 and is 0.25"
    assert reasons["predict-1"] == "again: after heads-1"
    assert reasons["pretrain"] is None
    world.do(changed)
    assert world.ran == ["heads-0", "predict-0", "heads-1", "predict-1", "evaluate", "report"]
    assert len(list(old.iterdir())) == 1, "what the former settings left is removed"
    world.do(changed)
    assert world.ran == []


def test_where_a_run_lies_and_what_it_tells_is_no_change(world: World) -> None:
    world.do()
    world.do("heads.overrides={tracking.project: other, debug: {train.steps: 1}}", "pretrain.nproc=2")
    assert world.ran == []


def test_one_more_split_does_only_that(world: World) -> None:
    world.do()
    world.do("split_seeds=[0, 1, 7]")
    assert world.ran == ["heads-7", "predict-7", "evaluate", "report"]


def test_what_is_missing_is_done_again_with_what_was_read_from_it(world: World) -> None:
    world.do()
    shutil.rmtree("made/predictions/split-1")
    assert why(world)["predict-1"] == "again: made/predictions/split-1 is missing"
    world.do()
    assert world.ran == ["predict-1", "evaluate", "report"]


def test_a_step_that_failed_goes_on_and_the_others_stay(world: World) -> None:
    world.failing["heads-1"] = 2
    with pytest.raises(
        StepFailed, match="step 'heads-1' ended with exit code 2; repair what its message says"
    ) as caught:
        world.do()
    assert caught.value.code == 2
    assert world.ran == ALL[: ALL.index("heads-1") + 1]
    assert why(world)["heads-1"] == "goes on where it stopped"
    world.failing.clear()
    before = set(Path("made/runs/heads-1").iterdir())
    world.do()
    assert world.ran == ALL[ALL.index("heads-1") :]
    assert before < set(Path("made/runs/heads-1").iterdir()), "a step that goes on finds what it left"


def test_a_step_that_stopped_with_other_settings_begins_anew(world: World) -> None:
    world.failing["pretrain"] = 75
    with pytest.raises(StepFailed):
        world.do()
    world.failing.clear()
    before = set(Path("made/runs/pretrain").iterdir())
    world.do("pretrain.overrides={train.steps: 9}")
    assert world.ran == ALL[1:]
    assert not before & set(Path("made/runs/pretrain").iterdir())


def test_until_does_what_is_needed_and_only_refuses_what_is_not_ready(world: World) -> None:
    with pytest.raises(RunError, match=r"step 'heads-0' needs 'embed', which has to be done first \(not done yet\)"):
        world.do(only="heads")
    assert world.ran == []
    done = world.do(until="heads-1")
    assert world.ran == ["ingest", "pretrain", "embed", "heads-1"]
    assert "report" in done.left
    world.do(only="heads")
    assert world.ran == ["heads-0"]
    world.do(until="predict")
    assert world.ran == ["predict-0", "predict-1"]
    with pytest.raises(ConfigError, match=r"--until: expected a step of this study, .* did you mean 'predict-1'"):
        world.do(until="predict-11")
    with pytest.raises(ConfigError, match="expected one of --only and --until, found both"):
        world.do(only="heads", until="heads")


def test_a_step_done_again_alone_makes_later_ones_stale(world: World) -> None:
    world.do()
    shutil.rmtree("made/runs/pretrain")
    world.do(until="pretrain")
    assert world.ran == ["pretrain"]
    assert why(world)["embed"] == "again: a step it builds on was done again"
    world.do()
    assert world.ran == ALL[2:]


def test_a_changed_table_is_seen_and_files_of_the_study_are_not_read(world: World) -> None:
    Path("map.csv").write_text("one")
    plates = [{"source": {"name": "harmony", "path": "raw"}, "platemap": {"path": "map.csv"}}]
    world.write("ingest.yaml", INGEST | {"plates": plates})
    world.do()
    Path("map.csv").write_text("two")
    assert "plates.0.platemap.path (content) was" in str(why(world)["ingest"])
    world.do()
    assert world.ran == ALL


def test_a_folder_that_was_moved_is_still_done(world: World) -> None:
    ingest = {"config": "ingest.yaml", "overrides": {"plates.0.source.path": "{out}/raw/SIM"}}
    world.write("study.yaml", STUDY | {"ingest": ingest})
    world.do()
    Path("made").rename("moved")
    world.do("out=moved")
    assert world.ran == []


def test_nothing_is_done_in_a_dry_run(world: World) -> None:
    summary = world.do(dry_run=True)
    assert world.ran == []
    assert summary.left == tuple(ALL)
    assert not Path("made").exists()


def test_a_command_that_wrote_nothing_is_an_error(world: World) -> None:
    world.do(until="pretrain")
    world.silent.add("embed")
    with pytest.raises(RunError, match=r"step 'embed' ended without an error but did not write made/embeddings/tiles"):
        world.do()


def test_a_record_that_names_a_foreign_folder_removes_nothing(world: World) -> None:
    world.do()
    precious = world.folder / "precious"
    precious.mkdir()
    file = Path("made/steps/heads-0.json")
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"outputs": ["../precious"], "settings": {}}))
    with pytest.raises(RunError, match=r"names made/\.\./precious outside the study's folder; remove this record"):
        world.do()
    assert precious.is_dir()
    file.write_text("{}")
    with pytest.raises(RunError, match=r"heads-0\.json: .*remove it, and the step is done again"):
        world.do()


def test_another_dataset_in_the_same_place_is_seen(world: World) -> None:
    data = world.folder / "data"
    data.mkdir()
    (data / "dataset.json").write_text("first")
    study = {key: value for key, value in STUDY.items() if key != "ingest"} | {"dataset": "data"}
    world.write("study.yaml", study)
    world.do()
    assert world.ran == ALL[1:]
    (data / "dataset.json").write_text("second")
    world.do()
    assert world.ran == ALL[1:]
