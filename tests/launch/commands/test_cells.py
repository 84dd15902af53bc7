"""``wellstream features`` and ``wellstream evaluate-features``, from the words on the command line to the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.tiny_dataset import make_dataset
from typer.testing import CliRunner

from framework.errors import ConfigError
from framework.features import FeatureEvaluateConfig
from launch.cli import app

CLAIMS = {
    ("features", "protein"): "all",
    ("features", "structure"): "all others",
    ("features", "outline"): "the channel nuclei were found in",
    ("evaluate-features", "group"): "bag,site",
    ("evaluate-features", "run"): "the run that they name",
    ("evaluate-features", "classifier"): ",".join(FeatureEvaluateConfig.model_fields["classifiers"].default),
    **{
        ("evaluate-features", name): str(FeatureEvaluateConfig.model_fields[name].default)
        for name in ("protocol", "k", "folds", "fold_by", "resamples", "seed")
    },
    ("express", "scheduler"): "this process",
}
"""(command, option) -> what its help says the default is."""


def test_from_dataset_to_comparison(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", bags=12, channels=("gfp", "rfp"), size=20)
    runner, out = CliRunner(), tmp_path / "out"
    for words in (
        ["features", data.root, "--out", tmp_path / "intensity.h5ad"],
        [
            "features",
            data.root,
            "--kind",
            "classic",
            "--protein",
            "gfp",
            "--scales-px",
            "1, 2",
            "-o",
            tmp_path / "c.h5ad",
        ],
        [
            *("evaluate-features", f"classic={tmp_path / 'c.h5ad'}", tmp_path / "intensity.h5ad", "--no-report"),
            *(
                "--label",
                "Metadata_Perturbation",
                "--group",
                "Metadata_Well",
                "--test-where",
                "Metadata_Well=A01,A02,A03",
            ),
            *("--k", "5", "--missing", "transfer=no weights", "--resamples", "100", "--out", out),
        ],
    ):
        result = runner.invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})
        assert result.exit_code == 0, result.output + repr(result.exception)
    assert "transfer: missing, no weights" in result.output
    summary = json.loads((out / "evaluation.json").read_text())
    assert summary["protocol"] == "train_test"
    assert summary["options"]["group"] == ["Metadata_Well"]
    assert [row["set"] for row in summary["rows"]] == ["classic", "intensity", "transfer"]
    assert (out / "per_set.csv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["features", "x", "--scales-px", "1,two", "--out", "y"], "expected whole numbers such as 1,2,4"),
        (["evaluate-features", "x", "--label", "a", "--missing", "b", "--out", "y"], "expected NAME=REASON"),
        (["evaluate-features", "x", "--label", "a", "--protocol", "loo", "--out", "y"], "protocol"),
        (["evaluate-features", "x", "--label", "a", "--test-where", "b", "--out", "y"], "COLUMN=VALUE"),
    ],
)
def test_wrong_words_are_told(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
