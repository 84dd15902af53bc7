"""The versions that could change a result; a run, its checkpoints and its tables keep them."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from framework import __version__

_PACKAGES = ("torch", "accelerate", "numpy", "pandas", "anndata", "safetensors", "pydantic")


def versions() -> dict[str, str]:
    """Return name -> version of this product, Python and the packages that compute."""
    return dict(_found())


@cache
def _found() -> dict[str, str]:
    """What was installed when it was first asked for: that is what runs, and looking costs milliseconds."""
    found = {"wellstream": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "torch" in sys.modules:  # says more of its build: the package on PyPI is 2.13.0, and inside it 2.13.0+cu130
        found["torch"] = str(sys.modules["torch"].__version__)
    return found
