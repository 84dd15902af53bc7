"""From sequenced cells to prepared ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools import single_cell
from data_tools.single_cell import PreparedCells, SingleCellConfig
from framework.config import load_config


def prepare(
    config: Path | str | Mapping[str, Any] | SingleCellConfig, out: Path | str, *, overrides: Sequence[str] = ()
) -> PreparedCells:
    """Prepare a CITE-seq experiment: filter cells and genes, log, gate populations, rank their marker genes.

    Args:
        config: a YAML file, a mapping with the same keys, or a config object.
        out: ``.h5ad`` to write.
        overrides: keys with dots and their values, such as ``["genes.min_cells=3"]``; not with a config object.

    Raises:
        WellstreamError: a config or table that cannot be used.
    """
    settings = config if isinstance(config, SingleCellConfig) else load_config(config, SingleCellConfig, overrides)
    return single_cell.prepare_cells(settings, Path(out))
