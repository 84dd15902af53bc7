"""What commands need beside the face ``wellstream``, loaded when a command needs it; the names are in the stub."""

from __future__ import annotations

from framework.lazy import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
