"""The only room that knows torch.distributed and Accelerate: ranks, exact gathers, global batch normalisation."""

from framework.distributed.batch_norm import share_running_statistics, single_value_batch_norm, sync_batch_norm
from framework.distributed.departure import end_rank
from framework.distributed.devices import device_here
from framework.distributed.failures import DEBUG_VARIABLE, Failure, failure_of, share, tell, this_rank
from framework.distributed.nodes import Meeting, place_of_master
from framework.distributed.processes import start_processes
from framework.distributed.ranks import Ranks
from framework.distributed.verdict import Ending

__all__ = [
    "DEBUG_VARIABLE",
    "Ending",
    "Failure",
    "Meeting",
    "Ranks",
    "device_here",
    "end_rank",
    "failure_of",
    "place_of_master",
    "share",
    "share_running_statistics",
    "single_value_batch_norm",
    "start_processes",
    "sync_batch_norm",
    "tell",
    "this_rank",
]
