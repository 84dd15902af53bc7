"""The only room that knows torch.distributed and Accelerate: ranks, exact gathers, global batch normalisation."""

from framework.distributed.batch_norm import single_value_batch_norm, sync_batch_norm
from framework.distributed.processes import start_processes
from framework.distributed.ranks import Ranks

__all__ = ["Ranks", "single_value_batch_norm", "start_processes", "sync_batch_norm"]
