"""Features of single cells: baselines from pixels, and the comparison of feature sets of the same cells."""

from __future__ import annotations

from framework.features import kind  # noqa: F401  (registers the evaluation)
from framework.lazy import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
