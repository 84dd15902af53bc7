"""``wellstream verify RUN``: what it proves, and that it sees records missing, repeated and altered."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixtures.tiny_run import TRIPLET, command, config, start, tiny_data
from typer.testing import CliRunner

from framework.config import to_yaml
from framework.errors import CheckpointError, RunError
from framework.run import fit, verify_run
from framework.run.train.folder import RunFolder
from framework.tracking.lines import Chain
from launch.cli import app

Lines = list[dict[str, object]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("verify")
    tiny_data(folder / "data")
    return fit(config(TRIPLET, run=folder / "run", data=folder / "data"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def records(lines: Lines) -> list[int]:
    """Positions of the lines that record a step."""
    return [position for position, line in enumerate(lines) if "digest" in line]


def edit(run: Path, change: Callable[[Lines], None]) -> None:
    file = run / "audit" / "rank-00000.jsonl"
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def drop(lines: Lines) -> None:
    del lines[records(lines)[5]]


def repeat(lines: Lines) -> None:
    lines.insert(records(lines)[5], dict(lines[records(lines)[5]]))


def alter(lines: Lines) -> None:
    line = lines[records(lines)[5]]
    line["digest"] = lines[records(lines)[6]]["digest"]


def lose_a_row(lines: Lines) -> None:
    line = lines[records(lines)[5]]
    line["rows"] = int(str(line["rows"])) - 1


def test_a_finished_run_is_proved(run: Path) -> None:
    sentences = verify_run(run).sentences
    assert "each of the 12 steps behind step-00000012 was consumed exactly as planned" in sentences[0]
    assert "exactly once" in sentences[-1]


@pytest.mark.parametrize("change", [drop, repeat, alter, lose_a_row])
def test_a_record_that_is_not_the_plans_is_named_by_its_step(run: Path, change: Callable[[Lines], None]) -> None:
    edit(run, change)
    with pytest.raises(RunError, match=r"step 5 \(attempt 0\)"):
        verify_run(run)


def test_another_seed_in_the_config_is_noticed(run: Path) -> None:
    file = run / "config.yaml"
    file.write_text(file.read_text().replace("\n  seed: 0\n  precision", "\n  seed: 1\n  precision"))
    assert "seed: 1" in file.read_text()
    with pytest.raises(RunError, match=r"config\.yaml: train\.seed is 1, the checkpoint was made with 0"):
        verify_run(run)


def relink(run: Path, rank: int, change: Callable[[list[str]], None]) -> None:
    """Edit as somebody who knows how the chain is made: every link is right afterwards."""
    file = run / "audit" / f"rank-{rank:05d}.jsonl"
    bodies = [line.partition(',"link"')[0] + "}" for line in file.read_text().splitlines()]
    change(bodies)
    chain = Chain(rank)
    file.write_text("".join(chain.linked(body.encode()).decode() + "\n" for body in bodies))


def replaced(old: str, new: str) -> Callable[[list[str]], None]:
    def change(bodies: list[str]) -> None:
        at = next(number for number, body in enumerate(bodies) if old in body)
        bodies[at] = bodies[at].replace(old, new)

    return change


def refusal(run: Path) -> str:
    with pytest.raises(RunError) as refused:
        verify_run(run)
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replaced('"step":5,"rows":6', '"step":5,"rows":5'), "rank-00000.jsonl:7: step 5 (attempt 0): 5 rows with"),
        (replaced('"start":0', '"start":3'), "rank-00000.jsonl:2: expected step 3 (attempt 0), found step 0"),
        (
            replaced('"world":1', '"world":999999999999'),
            "step 0 (attempt 0): no record of rank 1; the header says 9999",
        ),
        (replaced('"parent":null', '"parent":0'), "rank-00000.jsonl:1: the header says that attempt 0 resumed from 0"),
        (lambda bodies: bodies.clear(), "so it was altered or cut"),
        (lambda bodies: bodies.__delitem__(slice(9, None)), "rank-00000.jsonl:9: the file ends here, after step 7"),
    ],
)
def test_an_edit_with_all_links_made_anew_is_named(run: Path, change: Callable[[list[str]], None], told: str) -> None:
    relink(run, 0, change)
    assert told in refusal(run)


def test_lines_after_the_checkpoint_are_not_part_of_the_proof(run: Path) -> None:
    relink(run, 0, lambda bodies: bodies.append('{"attempt":1,"start":12,"parent":0,"world":1}'))
    assert "each of the 12 steps" in verify_run(run).sentences[0]


def test_a_file_of_another_rank_may_not_be_added(run: Path) -> None:
    shutil.copy(run / "audit" / "rank-00000.jsonl", run / "audit" / "rank-00001.jsonl")
    assert "rank-00001.jsonl:1: attempt 0 ran on 1 rank(s), so rank 1 has no part in it" in refusal(run)


def test_the_audit_of_another_run_is_refused(run: Path, finished: Path, tmp_path: Path) -> None:
    other = config(TRIPLET, "train.seed=1", run=tmp_path / "other", data=finished.parent / "data")
    shutil.rmtree(run / "audit")
    shutil.copytree(fit(other) / "audit", run / "audit")
    told = refusal(run)
    assert "12 step(s) differ from the plan" in told
    assert "rank-00000.jsonl:1: a line from here to line 10" in told, "the oldest kept checkpoint says it first"
    shutil.copy(tmp_path / "other" / "config.yaml", run / "config.yaml")
    assert f"{run / 'config.yaml'}: train.seed is 1, the checkpoint was made with 0" in refusal(run)


def test_a_split_that_was_edited_is_named(run: Path) -> None:
    (run / "split.csv").write_text((run / "split.csv").read_text() + "\n")
    assert f"{run / 'split.csv'}: not the split that the checkpoint was made with" in refusal(run)


def test_a_run_without_heads_proves_less_and_says_so(run: Path) -> None:
    for line_file in (run / "audit").iterdir():
        lines = [line.partition(',"link"')[0] + "}\n" for line in line_file.read_text().splitlines()]
        line_file.write_text("".join(lines))
    for path in (run / "checkpoints").glob("step-*"):
        state = json.loads((path / "state.json").read_text())
        del state["audit"], state["run"]
        (path / "state.json").write_text(json.dumps(state))
        manifest = json.loads((path / "manifest.json").read_text())
        content = (path / "state.json").read_bytes()
        manifest["files"]["state.json"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (path / "manifest.json").write_text(json.dumps(manifest))
    sentences = verify_run(run).sentences
    assert "was written before checkpoints held the head of the audit, so this proves only" in sentences[1]
    again = config(TRIPLET, run=run, data=Path(RunFolder(root=run).config().data.path))
    shutil.rmtree(run / "checkpoints" / "step-00000012")
    fit(again)
    sentences = verify_run(run).sentences
    assert any(told.startswith("1 attempt(s) were recorded before audits were chained") for told in sentences)
    edit(run, drop)
    assert "expected step 5 (attempt 0), found step 6" in refusal(run)


def test_a_head_that_was_noted_must_still_be_there(run: Path) -> None:
    head = hashlib.sha256((run / "checkpoints" / "step-00000012" / "manifest.json").read_bytes()).hexdigest()
    assert any(f"head {head}" in told for told in verify_run(run).sentences)
    result = CliRunner().invoke(app, ["verify", str(run), "--head", head])
    assert (result.exit_code, "each of the 12 steps behind step-00000012" in result.output) == (0, True)
    older = hashlib.sha256((run / "checkpoints" / "step-00000009" / "manifest.json").read_bytes()).hexdigest()
    assert "each of the 9 steps behind step-00000009" in verify_run(run, older).sentences[0]
    with pytest.raises(CheckpointError, match=f"no checkpoint has the head 'abc'.*step-00000012 {head}"):
        verify_run(run, "abc")


@pytest.fixture(scope="module")
def elastic(finished: Path) -> Path:
    """Steps 0 to 6 on two ranks, of which the last three are lost with their checkpoint; then 3 to 12 on one."""
    folder = finished.parent
    changes = ("optim.schedule=constant", "train.keep=9")
    settings = config(TRIPLET, "train.steps=6", *changes, run=folder / "elastic", data=folder / "data")
    (folder / "elastic.yaml").write_text(to_yaml(settings))
    done = start(command(folder / "elastic.yaml", ranks=2))
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(folder / "elastic" / "checkpoints" / "step-00000006")
    return fit(config(TRIPLET, *changes, run=folder / "elastic", data=folder / "data"))


@pytest.fixture
def both(elastic: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(elastic, tmp_path / "run"))


@pytest.mark.distributed
def test_a_run_on_two_ranks_and_then_one_is_proved(both: Path) -> None:
    sentences = verify_run(both).sentences
    assert "(steps 0 to 3 on 2 rank(s), steps 3 to 12 on 1 rank(s))" in sentences[0]
    state = json.loads((both / "checkpoints" / "step-00000012" / "state.json").read_text())
    assert {rank: head["lines"] for rank, head in state["audit"].items()} == {"0": 17, "1": 4}


@pytest.mark.distributed
def test_digests_that_compensate_are_named(both: Path) -> None:
    """The sums over ranks stay what they were, and the links are right."""

    def plus(number: int) -> Callable[[list[str]], None]:
        def change(bodies: list[str]) -> None:
            line = json.loads(bodies[2])
            line["digest"] = f"{(int(line['digest'], 16) + number) % (1 << 64):016x}"
            bodies[2] = json.dumps(line, separators=(",", ":"))

        return change

    relink(both, 0, plus(5))
    relink(both, 1, plus(-5))
    told = refusal(both)
    for rank in (0, 1):
        assert f"rank-0000{rank}.jsonl:3: step 1 (attempt 0): " in told
        assert f"rank-0000{rank}.jsonl:1: a line from here to line 4 (step 0 (attempt 0) to step 2" in told


@pytest.mark.distributed
def test_steps_that_were_thrown_away_cannot_be_cut_out_either(both: Path) -> None:
    """What is left agrees with the plan; only the heads of the checkpoints know."""
    relink(both, 0, lambda bodies: bodies.__delitem__(slice(4, 7)))
    assert "rank-00000.jsonl:14: the file ends here" in refusal(both)
    relink(both, 0, lambda bodies: bodies.extend(bodies[-3:]))
    assert "expected step 12 (attempt 1), found step 9" in refusal(both)


@pytest.mark.distributed
def test_a_rank_that_is_no_longer_there_is_missed(both: Path) -> None:
    file = both / "audit" / "rank-00001.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]))
    verify_run(both)
    file.write_text("".join(lines[:3]))
    told = refusal(both)
    assert f"{file}:3: the file ends here, after step 1 (attempt 0); it had 4 lines when step-00000012" in told
    file.unlink()
    told = refusal(both)
    assert "the audit file of rank 1 is missing; it had 4 lines when step-00000012 was written" in told
    assert "step 0 (attempt 0): no record of rank 1; the header says 2 rank(s)" in told
