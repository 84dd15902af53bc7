"""How a chain starts: this imports next to nothing, so that Ctrl-C is answered while libraries still load."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

from framework.exit_codes import EXIT_INTERRUPTED


def start(chain: str) -> NoReturn:
    """Load the module ``chain``, run its ``main`` and exit with what that returns; 130 and a sentence after Ctrl-C."""
    try:
        code = importlib.import_module(chain).main()
    except KeyboardInterrupt:
        os.write(sys.stderr.fileno(), b"interrupted; run the same command again to continue\n")
        os._exit(EXIT_INTERRUPTED)
    sys.exit(code)
