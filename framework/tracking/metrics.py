"""``metrics.jsonl`` as a table: one row per step, and what a later attempt says about a step counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from framework.errors import RunError
from framework.tracking.lines import read_lines

METRICS_NAME = "metrics.jsonl"


def read_metrics(run_dir: Path | str) -> pd.DataFrame:
    """Read the metrics of a run.

    An attempt that resumed at step s replaces everything older attempts logged after s: those steps were done again.

    Args:
        run_dir: the run folder.

    Returns:
        One row per logged step in order, columns ``step``, ``attempt`` and every logged name (NaN where a step has no
        such value).

    Raises:
        RunError: the run has no metrics.
    """
    file = Path(run_dir) / METRICS_NAME
    if not file.is_file():
        raise RunError(f"{file}: no such file; is {run_dir} a run folder? One is written by: wellstream train CONFIG")
    rows: dict[int, dict[str, Any]] = {}
    for record in read_lines(file):
        number = record.get("step", record.get("start", 0))
        if not isinstance(number, int) or number < 0:
            raise RunError(f"{file}: a line has the step '{number}'; expected a whole number; remove that line")
        if "step" in record:
            rows.setdefault(number, {}).update(record)
        elif "start" in record:
            rows = {step: row for step, row in rows.items() if step <= number}
    table = pd.DataFrame([rows[step] for step in sorted(rows)])
    return table if len(table) else pd.DataFrame({"step": pd.Series(dtype="int64")})
