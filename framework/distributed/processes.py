"""Starting the processes of a run on this machine, as ``torchrun --standalone`` does, without its tracebacks."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM


def start_processes(module: str, arguments: Sequence[str], count: int) -> int:
    """Run ``python -m module arguments`` as ``count`` ranks and wait for them.

    Each rank says itself what is wrong with it, so torchrun's own report of the same is kept back.

    Args:
        module: importable module with a main part, as ``launch.train``.
        arguments: of every rank.
        count: processes on this machine, >= 1.

    Returns:
        0; the exit code of the first rank that failed; or 130 after Ctrl-C and 143 after SIGTERM.
    """
    for name in ["torch.distributed.elastic", *logging.root.manager.loggerDict]:
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    # Else torchrun sets it too, and warns.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        run(parse_args(["--standalone", f"--nproc-per-node={count}", "-m", module, *arguments]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        return int(error.get_first_failure()[1].exitcode)
    except SignalException as error:
        return EXIT_INTERRUPTED if error.sigval == signal.SIGINT else EXIT_TERMINATED
    return 0
