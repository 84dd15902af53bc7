"""BBBC021: the committed table is what the goal asks, and the committed chain gives it on the real profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from experiments.bbbc021 import table
from framework.profiles import normalise

RESULTS = Path(table.__file__).parent / "results"


def committed() -> dict[str, dict[str, dict[str, float]]]:
    found = json.loads((RESULTS / "bbbc021.json").read_text())
    return {row["name"]: row["scores"] for row in found["rows"]}


def test_no_method_is_far_below_plain_scaling_and_the_chain_is_above_the_goal() -> None:
    rows = committed()
    assert set(rows) == {row.name for row in table.ROWS} | {table.NEW_WEEKS}
    plain = rows[table.PLAIN]["NSC"]["value"]
    # Scaling each plate alone is what moderation mends: two of those three are below.
    ours = {name: scores["NSC"]["value"] for name, scores in rows.items() if "each plate alone" not in name}
    assert {name for name, value in ours.items() if value < plain - 0.01} == set()
    chain = rows["chain.yaml: z, asinh, whiten"]
    assert chain["NSC"]["value"] >= 0.83
    assert chain["NSB"]["value"] >= 0.78


def test_the_committed_csv_is_that_of_the_json() -> None:
    found = json.loads((RESULTS / "bbbc021.json").read_text())
    pd.testing.assert_frame_equal(pd.read_csv(RESULTS / "bbbc021.csv"), table.flat(found).round(4))


@pytest.mark.real_data
def test_the_committed_chain_finds_mechanisms_on_the_real_profiles(real_data: Path) -> None:
    chain = next(row for row in table.ROWS if row.name.startswith("chain.yaml:"))
    made = normalise(real_data / "bbbc021-profiles" / table.WELLS, table.config_of(chain))
    scores = table.scores(made.data)
    for name in ("NSC", "NSB"):
        assert scores[name]["value"] == pytest.approx(committed()[chain.name][name]["value"], abs=0.011)
