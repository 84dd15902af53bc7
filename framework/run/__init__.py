"""Train, embed, predict, and prove what was consumed: each is one call."""

from __future__ import annotations

from framework.lazy import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
