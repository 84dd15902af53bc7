"""Commands that take published data and checkpoints."""

from __future__ import annotations

CLAIMS = {
    # Both are tried in tests/framework/run/apply/test_import_checkpoint.py.
    ("import-checkpoint", "channels"): "the order of the dataset",
    ("import-checkpoint", "split_by"): "Metadata_Fold_TARGET",
}
"""(command, option) -> what its help says the default is."""
