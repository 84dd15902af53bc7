from __future__ import annotations

import platform

import torch

from framework import __version__
from framework.tracking import versions


def test_what_could_change_a_result_is_named() -> None:
    found = versions()
    assert (found["wellstream"], found["python"]) == (__version__, platform.python_version())
    assert found["torch"] == torch.__version__
    assert {"accelerate", "numpy", "pandas", "anndata", "safetensors", "pydantic"} <= set(found)
