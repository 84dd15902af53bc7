"""What a user is told about mistakes in real files: the run YAML of the demo, and its ingest YAML, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.pipeline import IngestConfig
from framework.config import load_config, parse_config
from framework.errors import WellstreamError
from framework.run import RunConfig, load_run_config

ROOT = Path(__file__).resolve().parents[2]
PRETRAIN = Path("experiments/demo/pretrain.yaml")
HEADS = Path("experiments/demo/heads.yaml")
INGEST = Path("experiments/demo/ingest.yaml")

RUNS = [
    (PRETRAIN, "train.stpes=5"),
    (PRETRAIN, "trian.steps=5"),
    (PRETRAIN, "train.steps=many"),
    (PRETRAIN, "train.steps=0"),
    (PRETRAIN, "train.precision=fp8"),
    (PRETRAIN, "train.epochs=3"),
    (PRETRAIN, "train.evaluate_every=0"),
    (PRETRAIN, "objective.name=triplet"),
    (PRETRAIN, "objective.margin=-1"),
    (PRETRAIN, "objective.mining=semihard"),
    (PRETRAIN, "objective.backbone.name=resnet34"),
    (PRETRAIN, "objective.backbone.widht=3"),
    (PRETRAIN, "plan.name=balanced"),
    (PRETRAIN, "plan.conditions=1.5"),
    (PRETRAIN, "split.fractions=[0.5, 0.1, 0.1]"),
    (PRETRAIN, "data.scale=standardise"),
    (PRETRAIN, "optim.name=adamv"),
    (PRETRAIN, "optim.lr=0"),
    (PRETRAIN, "tracking.wandb=off"),
    (PRETRAIN, "plugins=[no_such_plugin]"),
    (PRETRAIN, "data.embeddings=x.h5ad"),
    (HEADS, "objective.targets=[]"),
    (HEADS, "split.fractions=[0.8, 0, 0.2]"),
]
INGESTS = [
    "channels=[]",
    "channels=[Hoechst, Hoechst]",
    "nuclei.diameter_px=12",
    "nuclei.method=log",
    "plates.0.source.name=phenix",
    "plates.0.source.pth=x",
    "illumination.percentile=110",
    "shards.layout=zip",
    "on_error=ignore",
    "omics.0.kind=count",
]


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def told(path: Path, override: str) -> str:
    with pytest.raises(WellstreamError) as caught:
        load_config(path, IngestConfig, [override]) if path == INGEST else load_run_config(path, [override])
    return str(caught.value)


def expected() -> dict[str, str]:
    text = (Path(__file__).parent / "bad_configs.txt").read_text()
    return dict(block.split("\n", 1) for block in text.strip().split("\n\n"))


CASES = [*RUNS, *((INGEST, override) for override in INGESTS)]


@pytest.mark.parametrize(("path", "override"), CASES, ids=[f"{p.stem}: {o}" for p, o in CASES])
def test_a_mistake_is_answered_word_for_word(path: Path, override: str) -> None:
    assert told(path, override) == expected()[f"{path.stem} {override}"]


def test_at_least_twenty_mistakes_are_pinned_and_none_is_stale() -> None:
    assert len(CASES) >= 20
    assert set(expected()) == {f"{path.stem} {override}" for path, override in CASES}


def test_the_place_in_the_file_is_named() -> None:
    text = PRETRAIN.read_text()
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("train:"))
    with pytest.raises(WellstreamError, match=rf"^pretrain\.yaml:{line}: train\.stepz: unknown key"):
        parse_config(text.replace("steps: ", "stepz: 1, steps: ", 1), RunConfig, "pretrain.yaml")
