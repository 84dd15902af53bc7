"""One rank of a training run: ``python -m launch.train CONFIG [key=value ...] [--resume auto|PATH|none]``.

Started once it trains alone; under ``torchrun --nproc-per-node N -m launch.train CONFIG`` each of the N processes is a
rank. Exit codes: 0 done, 2 a mistake the message explains, 75 stopped by SIGTERM (queue it again), 130 by Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from framework.errors import WellstreamError
from framework.run import fit, load_run_config
from framework.trainer import EXIT_INTERRUPTED, Stopped

EXIT_MISTAKE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one rank and return the exit code."""
    parser = argparse.ArgumentParser(prog="launch.train", description=__doc__, allow_abbrev=False)
    parser.add_argument("config", help="run YAML")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted overrides of the config")
    parser.add_argument("--resume", default="auto", help="auto (default), none, or the PATH of a checkpoint")
    parser.add_argument("--debug-form", action="store_true", help="apply the overrides under 'debug' in the config")
    options = parser.parse_intermixed_args(arguments)
    speaks = int(os.environ.get("RANK", "0")) == 0
    logging.basicConfig(level=logging.INFO if speaks else logging.ERROR, format="%(message)s")
    for chatty in ("accelerate", "wandb", "torch", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        config = load_run_config(options.config, options.overrides, debug=options.debug_form)
        run = fit(config, options.resume)
    except Stopped as stopped:
        return _said(stopped, speaks, stopped.exit_code)
    except (WellstreamError, OSError) as error:
        return _said(error, speaks, EXIT_MISTAKE)
    except KeyboardInterrupt:
        return _said("interrupted before a checkpoint; run the same command again", speaks, EXIT_INTERRUPTED)
    if speaks:
        print(f"run: {run}")
    return 0


def _said(message: object, speaks: bool, code: int) -> int:
    if speaks:
        print(f"wellstream: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
