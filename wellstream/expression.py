"""Expression per cell from surface markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from data_tools.pipeline import open_runner
from framework import expression
from framework import report as pages
from framework.config import load_config
from framework.expression import ExpressionConfig, ExpressionSummary
from framework.progress import OnProgress


def express(
    config: Path | str | Mapping[str, Any] | ExpressionConfig,
    out: Path | str,
    *,
    overrides: Sequence[str] = (),
    scheduler: str | None = None,
    progress: OnProgress | None = None,
) -> ExpressionSummary:
    """Learn expression from surface markers of single cells, score it, and predict it for imaged cells (IFC-seq).

    Args:
        config: a YAML file, a mapping with the same keys, or a config object.
        out: folder for tables, expression and ``report.html``.
        overrides: keys with dots and their values, such as ``["forest.trees=50"]``; not with a config object.
        scheduler: address of a Dask scheduler to grow trees on; default: threads of this process.
        progress: called with (stage, done, total) while the work goes on.

    Raises:
        WellstreamError: tables that cannot be used.
    """
    settings = config if isinstance(config, ExpressionConfig) else load_config(config, ExpressionConfig, overrides)
    with ExitStack() as opened:
        pool = None
        if scheduler is not None:
            pool = opened.enter_context(open_runner(scheduler, None, 0, Path(out), "run the same command again"))
        summary = expression.express(settings, Path(out), pool=pool, progress=progress)
    pages.write_expression_report(Path(out))
    return summary
