"""Features of networks for rows: those of a run, trained or as it began."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from framework.baselines.base import BaselineMissing, Floats
from framework.baselines.rows import FOR_NETWORKS, Rows
from framework.data.loading.transform import scale
from framework.errors import WellstreamError
from framework.objectives import Embeds
from framework.run.train.pretrained import open_run


def features_of_run(rows: Rows, *, untrained: bool) -> Floats:
    """Return the embedding of each row by the network of the run, (n, E); of a run on a backbone, by that backbone.

    Args:
        rows: with ``run``.
        untrained: with the weights that the network began with.

    Raises:
        BaselineMissing: there is no run, or none that embeds.
    """
    run = rows.run
    if run is None:
        raise BaselineMissing("the run of these predictions is not known; evaluate the run folder, or add --run RUN")
    try:
        opened = open_run(run, untrained=untrained)
        base = opened.config.objective.builds_on
        if base is not None:
            opened = open_run(Path(base), untrained=untrained)
        objective = opened.having(Embeds)
        channels = opened.scale.channels
        seen = Rows(
            dataset=rows.dataset,
            level=rows.level,
            ids=rows.ids,
            channels=channels,
            run=run,
            tiles=rows.tiles,
            row_of_tile=rows.row_of_tile,
        )
        parts = []
        for tiles in seen.pixels(FOR_NETWORKS):
            scaled = scale(torch.from_numpy(tiles), opened.scale).to(opened.ranks.device)
            with torch.inference_mode(), opened.ranks.autocast():
                parts.append(objective.embed_tiles(scaled[:, None])[:, 0].float().cpu().numpy().astype(np.float64))
    except WellstreamError as error:
        raise BaselineMissing(str(error)) from None
    return rows.averaged(np.concatenate(parts)) if parts else np.empty((len(rows), 0))
