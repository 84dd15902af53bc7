"""One rank of a training run: ``python -m launch.train CONFIG [key=value ...] [--resume auto|PATH|none]``.

Started once it trains alone; under ``torchrun --nproc-per-node N -m launch.train CONFIG`` each of the N processes is a
rank. Exit codes: 0 done, 2 a mistake the message explains, 75 stopped by SIGTERM (queue it again), 130 by Ctrl-C; all
of them are in ``framework.exit_codes``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from framework.distributed import Failure, failure_of, share, tell, this_rank
from framework.exit_codes import EXIT_INTERRUPTED, EXIT_REQUEUE, Terminated
from framework.interpreter import hear_interrupts
from framework.plugins import permit_code
from framework.run import fit, load_run_config
from framework.terminal import Terminal
from framework.trainer import Stopped
from launch.show import as_typed, log_lines


def train(arguments: Sequence[str] | None = None) -> int:
    """Train one rank and return the exit code; what is wrong is told by the rank, or by its launcher."""
    parser = argparse.ArgumentParser(prog="launch.train", description=__doc__, allow_abbrev=False)
    parser.add_argument("config", help="run YAML")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted overrides of the config")
    parser.add_argument("--resume", default="auto", help="auto (default), none, or the PATH of a checkpoint")
    parser.add_argument("--debug-form", action="store_true", help="apply the overrides under 'debug' in the config")
    parser.add_argument("--allow-code", action="store_true", help="run the plugins of the config that are files")
    options = parser.parse_intermixed_args(arguments)
    rank = this_rank() or 0
    log_lines(logging.ERROR if rank else logging.INFO)
    for chatty in ("accelerate", "wandb", "torch", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if options.allow_code:
        permit_code()
    try:
        config = load_run_config(options.config, options.overrides, debug=options.debug_form)
        run = fit(config, options.resume)
    except KeyboardInterrupt as interrupt:
        return _stopped(rank, "SIGTERM" if isinstance(interrupt, Terminated) else "Ctrl-C")
    except Exception as error:
        return _ended(error, rank)
    if rank == 0:
        Terminal(needed=False).print(f"run: {as_typed(str(run))}")
    return 0


def _stopped(rank: int, by: str) -> int:
    message = f"stopped by {by}; run the same command again to start or continue"
    code = EXIT_REQUEUE if by == "SIGTERM" else EXIT_INTERRUPTED
    tell(Failure(rank=rank, kind="stopped", message=message, code=code, when=time.time(), shared=True))
    return code


def _ended(error: BaseException, rank: int) -> int:
    """Tell why this rank ends, and return its exit code."""
    if isinstance(error, Stopped):
        code = error.exit_code
        tell(Failure(rank=rank, kind="stopped", message=str(error), code=code, when=time.time(), shared=True))
        return code
    if this_rank() is None:
        share(error)
    failure = failure_of(error, rank)
    tell(replace(failure, message=as_typed(failure.message)))
    return failure.code


if __name__ == "__main__":
    hear_interrupts()
    sys.exit(train())
