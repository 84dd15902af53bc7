"""Which commands a study is, and what is wrong with configs that do not fit together."""

from __future__ import annotations

import shlex

import pytest
from fixtures.study_world import HEADS, STUDY, World

from framework.errors import ConfigError
from framework.run import load_run_config
from framework.study import plan_of


def test_the_commands_in_order(world: World) -> None:
    steps = plan_of(world.study())
    assert [step.name for step in steps] == [
        "ingest", "pretrain", "embed", "embed-wells", "heads-0", "predict-0", "heads-1", "predict-1", "evaluate",
        "report",
    ]  # fmt: skip
    commands = {step.name: step.command for step in steps}
    assert commands["ingest"] == "wellstream ingest ingest.yaml --out made/dataset"
    assert commands["pretrain"] == ("wellstream train pretrain.yaml run_dir=made/runs/pretrain data.path=made/dataset")
    assert commands["embed"] == "wellstream embed made/runs/pretrain --out made/embeddings/tiles.h5ad --level tile"
    assert commands["heads-1"] == (
        "wellstream train heads.yaml run_dir=made/runs/heads-1 data.path=made/dataset "
        "objective.pretrained=made/runs/pretrain split.seed=1 data.embeddings=made/embeddings/tiles.h5ad"
    )
    assert commands["predict-1"] == (
        "wellstream predict made/runs/heads-1 --out made/predictions/split-1 --tiles 512 --seeds 3 --views 1 --part "
        "test"
    )
    assert commands["evaluate"] == (
        "wellstream evaluate made/predictions/split-0 made/predictions/split-1 --out made/evaluation --data "
        "made/dataset"
    )
    assert commands["report"].endswith(
        "--evaluation made/evaluation --embeddings made/embeddings/wells.h5ad --out made/report.html"
    )


def test_what_is_typed_is_what_the_config_says(world: World) -> None:
    world.write("study.yaml", STUDY | {"heads": {"config": "heads.yaml", "overrides": {"optim.lr": 0.5}}})
    study = world.study("pretrain.nproc=2", "heads.overrides={optim.lr: 0.5, optim.schedule: {name: cosine}}")
    words = {step.name: step.words for step in plan_of(study)}
    assert "--nproc=2" in words["pretrain"]
    typed = shlex.split(shlex.join(words["heads-0"]))
    run = load_run_config(typed[1], typed[2:])
    assert (run.optim.lr, run.optim.schedule.name) == (0.5, "cosine")


def test_a_backbone_per_split_sees_the_split_of_its_heads(world: World) -> None:
    steps = {step.name: step for step in plan_of(world.study("backbone_per_split=true"))}
    assert "split.seed=1" in steps["pretrain-1"].words
    assert steps["heads-1"].needs == ("embed-1",)
    assert "objective.pretrained=made/runs/pretrain-1" in steps["heads-1"].words
    assert "data.embeddings=made/embeddings/tiles-1.h5ad" in steps["heads-1"].words
    assert steps["embed-wells"].needs == ("pretrain-0",)
    assert "pretrain" not in steps


@pytest.mark.parametrize("several", ["true", "false"])
def test_heads_of_all_targets_and_splits_in_one_step(world: World, several: str) -> None:
    world.write("heads.yaml", HEADS | {"objective": HEADS["objective"] | {"targets": ["rna_M1", "protein_M1"]}})
    steps = {step.name: step for step in plan_of(world.study("heads_together=true", f"backbone_per_split={several}"))}
    one = "-{seed}" if several == "true" else ""
    assert steps["heads"].command.replace("'", "") == (
        f"wellstream heads heads.yaml run_dir=made/runs/heads data.path=made/dataset "
        f"objective.pretrained=made/runs/pretrain{one} data.embeddings=made/embeddings/tiles{one}.h5ad "
        "heads.seeds=[0, 1]"
    )
    assert steps["heads"].needs == (("embed-0", "embed-1") if one else ("embed",))
    assert [name for name in steps if name.startswith("predict")] == [
        "predict-rna_M1-0", "predict-protein_M1-0", "predict-rna_M1-1", "predict-protein_M1-1",
    ]  # fmt: skip
    assert steps["predict-protein_M1-1"].command.startswith(
        "wellstream predict made/runs/heads/protein_M1-split-1 --out made/predictions/split-1/protein_M1.h5ad --tiles"
    )
    assert steps["evaluate"].needs == tuple(name for name in steps if name.startswith("predict"))


def test_without_embeddings_heads_read_pixels_and_without_a_report_no_map_is_made(world: World) -> None:
    steps = {step.name: step for step in plan_of(world.study("embeddings=false", "report=false"))}
    assert list(steps) == ["ingest", "pretrain", "heads-0", "predict-0", "heads-1", "predict-1", "evaluate"]
    assert steps["heads-0"].needs == ("pretrain",)
    assert not [word for word in steps["heads-0"].words if word.startswith("data.embeddings")]


def test_figures_come_after_the_evaluation_and_are_shown_on_the_page(world: World) -> None:
    steps = {step.name: step for step in plan_of(world.study("figures={names: [omics_r2], pathways: sets.gmt}"))}
    assert steps["figures"].command == (
        "wellstream figure omics_r2 --predictions made/predictions/split-0 --predictions made/predictions/split-1 "
        "--evaluation made/evaluation --data made/dataset --embeddings made/embeddings/wells.h5ad --pathways sets.gmt "
        "--out made/figures"
    )
    assert steps["report"].needs == ("embed-wells", "evaluate", "figures")
    assert "--figures made/figures" in steps["report"].command
    alone = {step.name: step for step in plan_of(world.study("figures={}", "report=false"))}
    assert alone["figures"].needs == ("evaluate",)
    assert "--embeddings" not in alone["figures"].words


def test_raw_files_of_the_study_are_named_from_its_folder(world: World) -> None:
    world.write("plate.yaml", {"perturbations": 3})
    ingest = {"config": "ingest.yaml", "overrides": {"plates.0.source.path": "{out}/raw/SIM"}}
    world.write("study.yaml", STUDY | {"simulate": {"config": "plate.yaml"}, "ingest": ingest})
    steps = plan_of(world.study())
    assert steps[0].command == "wellstream simulate plate made/raw --config plate.yaml"
    assert steps[1].command.endswith("plates.0.source.path=made/raw/SIM")
    assert steps[1].needs == ("simulate",)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["splits=3"], "override 'splits=3': splits: unknown key"),
        (["split_seeds=[]"], "split_seeds: expected at least 1 entry, found 0"),
        (["split_seeds=[1, 2, 1]"], "split_seeds: 1 is listed twice; list each seed once"),
        (["predict.views=3"], "predict.views: expected"),
        (["heads_together=true", "embeddings=false"], "heads_together: heads are trained at once from embeddings"),
        (["dataset=data"], "expected exactly one of 'ingest', the config that makes a dataset, and 'dataset'"),
        (
            ["pretrain.config=pretrian.yaml"],
            "pretrain: pretrian.yaml: no such config file; did you mean 'pretrain.yaml'?",
        ),
        (["heads.overrides={split.seed: 3}"], "heads.overrides: the study sets 'split.seed' itself; leave it out"),
        (["heads.overrides={optim.rl: 3}"], "heads: override 'optim.rl=3': optim.rl: unknown key"),
        (
            ["heads.config=pretrain.yaml"],
            "heads.config: pretrain.yaml trains the objective 'triplet_mil'; expected one that predicts from a "
            "pretrained backbone: ",
        ),
        (
            ["pretrain.config=heads.yaml"],
            "pretrain.config: heads.yaml trains the objective 'omics_heads'; expected one that embeds without",
        ),
        (
            ["heads.overrides={split: {test: [P0]}}"],
            "split_seeds: heads.yaml names the values of each part, so all 2 splits would be equal",
        ),
        (
            ["backbone_per_split=true", "pretrain.overrides={split.fractions: [0.8, 0.0, 0.2]}"],
            "backbone_per_split: the splits of pretrain.yaml and heads.yaml differ in more than their seed",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_its_key(world: World, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(world.study(*overrides))
    assert told in str(caught.value).replace(f"{world.folder}/", "")
    assert "\n" not in str(caught.value)


def test_configs_are_found_beside_the_study_from_any_folder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = world.folder / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    from_there = {step.name: step.command for step in plan_of(world.study())}
    assert from_there["ingest"] == f"wellstream ingest {world.folder / 'ingest.yaml'} --out made/dataset"


def test_intervals_are_calibrated_by_val_or_by_ten_splits(world: World) -> None:
    few = {step.name: step for step in plan_of(world.study("interval=0.9"))}
    assert few["predict-1"].command.endswith("--part test --interval 0.9")
    assert "intervals" not in few
    steps = {step.name: step for step in plan_of(world.study("interval=0.9", f"split_seeds={list(range(10))}"))}
    assert "--interval" not in steps["predict-1"].words
    folders = [f"made/predictions/split-{seed}" for seed in range(10)]
    assert steps["intervals"].words[:11] == ("intervals", *folders)
    assert steps["intervals"].command.endswith("--level 0.9 --out made/predictions-with-intervals")
    assert set(steps["intervals"].needs) == {f"predict-{seed}" for seed in range(10)}
    assert steps["evaluate"].words[1] == "made/predictions-with-intervals/split-0"
    assert steps["evaluate"].needs == ("intervals",)
