"""Whether what a split holds out was held out from the backbone too: heads of many splits may share one backbone."""

from __future__ import annotations

from collections.abc import Sequence

from framework.data.split import PART_OF_BACKBONE
from framework.evaluate.predictions import TEST, Predictions

_TRAINED_ON = "train"


def backbone_notes(opened: Sequence[Predictions]) -> list[str]:
    """Return a sentence on the splits whose test values the backbone was trained on; none where it saw none."""
    seen = {}
    for item in opened:
        if PART_OF_BACKBONE in item.rows.columns and item.split_column in item.rows.columns:
            test = item.rows[item.part(TEST)]
            values = test[item.split_column].astype(str)
            trained_on = values[(test[PART_OF_BACKBONE].astype(str) == _TRAINED_ON).to_numpy()]
            seen[item.split_key] = trained_on.nunique(), values.nunique()
    known = {key: counts for key, counts in seen.items() if counts[0]}
    if not known:
        return []
    unseen = [key for key in seen if key not in known]
    each = ", ".join(f"{key} ({count} of {total})" for key, (count, total) in known.items())
    return [
        f"the backbone was trained on values of {opened[0].split_column} that these splits hold out: {each}; there, "
        "only the heads have not seen them. "
        + (f"Held out from backbone and heads: split {', '.join(unseen)}" if unseen else "No split is unseen by both")
    ]
