"""One rank of a training run: ``python -m launch.train CONFIG [key=value ...] [--resume auto|PATH|none]``.

Started once it trains alone; under ``torchrun --nproc-per-node N -m launch.train CONFIG`` each of the N processes is a
rank. Exit codes: 0 done, 2 a mistake the message explains, 75 stopped by SIGTERM (queue it again), 130 by Ctrl-C; all
of them are in ``framework.exit_codes``.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from framework.allocator import keep_freed_memory
from framework.distributed import end_rank, this_rank
from framework.exit_codes import EXIT_REQUEUE
from framework.interpreter import hear_interrupts
from framework.plugins import permit_code
from framework.run import config_to_train, fit
from framework.terminal import Terminal
from launch.rank import carried_out, log_as_rank
from launch.show import as_typed


def train(arguments: Sequence[str] | None = None) -> int:
    """Train one rank and return the exit code; what is wrong is told by the rank, or by its launcher."""
    parser = argparse.ArgumentParser(prog="launch.train", description=__doc__, allow_abbrev=False)
    parser.add_argument("config", help="run YAML")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted overrides of the config")
    parser.add_argument("--resume", default="auto", help="auto (default), none, or the PATH of a checkpoint")
    parser.add_argument("--debug-form", action="store_true", help="apply the overrides under 'debug' in the config")
    parser.add_argument("--allow-code", action="store_true", help="run the plugins of the config that are files")
    options = parser.parse_intermixed_args(arguments)
    log_as_rank(logging.INFO)
    for chatty in ("accelerate", "wandb", "torch", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if options.allow_code:
        permit_code()
    return carried_out(lambda: _fit(options), terminated=EXIT_REQUEUE, again="to start or continue")


def _fit(options: argparse.Namespace) -> None:
    config = config_to_train(options.config, options.overrides, debug=options.debug_form)
    run = fit(config, options.resume)
    if not this_rank():
        Terminal(needed=False).print(f"run: {as_typed(str(run))}")


if __name__ == "__main__":
    hear_interrupts()
    keep_freed_memory()
    end_rank(train())
