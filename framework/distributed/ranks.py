"""The processes of a run: who am I, where do I compute, and the few things ranks say to each other.

"One process without a process group" is an ordinary case: every method works there and communicates nothing.
"""

from __future__ import annotations

import gc
import logging
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn

from framework.distributed.devices import prepare_cuda
from framework.distributed.failures import failure_of, share, tell
from framework.distributed.gather import gather_rows
from framework.distributed.joining import accelerator_on, forget_state, join_with_cuda, state_of, store_at
from framework.distributed.loopback import loopback_only
from framework.distributed.watch import Mark, Watch
from framework.errors import RunError, WellstreamError, sentence_of

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)

RENDEZVOUS_VARIABLE = "WELLSTREAM_RENDEZVOUS"
"""URL that ranks meet at, set by our launcher; torchrun sets MASTER_ADDR and MASTER_PORT instead."""
STORE_SCHEME = "store://"
"""Of a URL that names the store which the launcher of node 0 keeps."""
TIMEOUT_VARIABLE = "WELLSTREAM_TIMEOUT_S"
DEFAULT_TIMEOUT_S = 1800.0
"""What one rank may take to prepare, to compile or to save while the others wait for it."""

_LATER_S = 60.0

Precision = Literal["fp32", "bf16", "fp16"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among the processes of a run.

    Attributes:
        rank: 0 .. world_size - 1.
        world_size: processes of the run.
        local_rank: number of this process on its machine.
        device: where it computes.
        precision: ``fp32``, or ``bf16`` or ``fp16`` for autocast.
        accelerator: Accelerate's handle, None where no process group was opened.
        watch: names this rank when it holds the others up; None where there are no others.
        opened_group: whether ``open`` made the process group; one that was there stays when these ranks are closed.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device
    precision: Precision = "fp32"
    accelerator: Accelerator | None = None
    watch: Watch | None = None
    opened_group: bool = True

    @classmethod
    def open(
        cls,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Precision = "fp32",
        init_method: str | None = None,
        step_timeout_s: float = 0.0,
        deterministic: bool | None = False,
    ) -> Ranks:
        """Join the processes that torchrun (or any launcher that sets its variables) started; alone without them.

        Args:
            device: ``auto`` takes CUDA where there is a device.
            precision: see the class.
            init_method: rendezvous URL in place of MASTER_ADDR and MASTER_PORT, as ``file:///shared/path``; by default
                what our launcher set.
            step_timeout_s: the longest time that ``at`` will allow; collectives then wait at least as long.
            deterministic: on CUDA, compute the same bits at every repetition; slower. None: PyTorch's own choices.

        Raises:
            RunError: CUDA was asked for and is not there, fewer devices than local ranks, ranks that share one, no
                bf16, a bad timeout, or half of the launcher's variables.
        """
        cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
        _check_device(cpu, precision)
        if not cpu:
            prepare_cuda(deterministic=deterministic)
        if not _launched():
            return cls.solo("cpu" if cpu else "cuda", precision)
        # The timeout of a collective blames the rank that waits, so the watch must come before it.
        group: dict[str, Any] = {"timeout": timedelta(seconds=max(long_timeout_s(), step_timeout_s) + _LATER_S)}
        if _env("LOCAL_WORLD_SIZE", 0) == _env("WORLD_SIZE", 1):
            for name, value in loopback_only().items():
                os.environ.setdefault(name, value)
        init_method = init_method or os.environ.get(RENDEZVOUS_VARIABLE)
        if init_method is not None:
            group |= {"rank": _env("RANK", 0), "world_size": _env("WORLD_SIZE", 1)}
            if init_method.startswith(STORE_SCHEME):
                group["store"] = store_at(init_method, group["timeout"])
            else:
                group["init_method"] = init_method
        # Without it, Accelerate counts the cores itself and warns on the CPU.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        was_there = dist.is_initialized()
        if not cpu and not was_there:
            join_with_cuda(_env("LOCAL_RANK", 0), _env("LOCAL_WORLD_SIZE", 1), group)
            group = {}
        state = state_of({} if was_there else group, cpu=cpu)
        return cls(
            rank=state.process_index,
            world_size=state.num_processes,
            local_rank=state.local_process_index,
            device=state.device,
            precision=precision,
            accelerator=accelerator_on(cpu=cpu),
            watch=Watch(state.process_index, _launcher()) if state.num_processes > 1 else None,
            opened_group=not was_there,
        )

    @classmethod
    def solo(cls, device: str = "cpu", precision: Precision = "fp32") -> Ranks:
        """Return one process that never communicates, whatever the environment says."""
        place = torch.device(device)
        if place.type == "cuda":
            prepare_cuda(deterministic=None)
        return cls(rank=0, world_size=1, local_rank=0, device=place, precision=precision)

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs, checkpoints and reports."""
        return self.rank == 0

    def gather_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Gather the rows of all ranks, rank by rank, with the exact gradient.

        Args:
            rows: (K, ...), the same shape on every rank.

        Returns:
            (world * K, ...).
        """
        if self.world_size == 1:
            return rows
        with self.meeting("gather_rows"):
            return gather_rows(rows)

    def at(self, what: str, allowed_s: float | None = None, setting: str = TIMEOUT_VARIABLE) -> None:
        """Say what this rank begins now, so that one that does not move for too long is ended with its name.

        Args:
            what: for people, such as ``step 12``.
            allowed_s: seconds without a sign of life; None: what one rank may take alone.
            setting: where people change that.
        """
        if self.watch is not None:
            allowed = long_timeout_s() if allowed_s is None else allowed_s
            self.watch.at(Mark(what=what, allowed_s=allowed, setting=setting))

    def rest(self) -> None:
        """Say that nobody waits for this rank until the next ``at``."""
        if self.watch is not None:
            self.watch.at(None)

    @property
    def met_s(self) -> float:
        """Seconds that this rank has spent in meetings, where it may have waited for others; 0 alone."""
        return 0.0 if self.watch is None else self.watch.met_s

    def meeting(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which this rank may be waiting for the others, so that it is not the one to blame."""
        return nullcontext() if self.watch is None else self.watch.waiting(name)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return ``values`` (any shape, the same on all ranks) summed over ranks, without gradient."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def max(self, values: torch.Tensor) -> torch.Tensor:
        """Return the element-wise maximum of ``values`` (any shape, the same on all) over ranks, without gradient."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def gather_objects(self, fact: Any) -> list[Any]:
        """Return one small Python object per rank, in rank order, on every rank."""
        if self.world_size == 1:
            return [fact]
        facts: list[Any] = [None] * self.world_size
        with self.meeting("gather_objects"):
            dist.all_gather_object(facts, fact)
        return facts

    def to_main(self, fact: T) -> list[T]:
        """Return one Python object per rank, in rank order, on rank 0; the others get an empty list."""
        if self.world_size == 1:
            return [fact]
        facts: list[Any] = [None] * self.world_size if self.is_main else []
        with self.meeting("to_main"):
            dist.gather_object(fact, facts if self.is_main else None)
        return facts

    def on_main(self, act: Callable[[], T]) -> T:
        """Let rank 0 act, and give every rank its result or its error, so that none is left waiting.

        Raises:
            WellstreamError: what rank 0 raised, on every rank.
        """
        mine: tuple[T | None, WellstreamError | None] = (None, None)
        if self.is_main:
            try:
                mine = (act(), None)
            except WellstreamError as error:
                mine = (None, error)
            except OSError as error:
                mine = (None, RunError(sentence_of(error)))
        result, failure = self.gather_objects(mine)[0]
        if failure is not None:
            share(failure)
            raise failure
        return result  # type: ignore[no-any-return]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world_size == 1:
            return
        with self.meeting("barrier"):
            dist.barrier(device_ids=[self.device.index] if self.device.type == "cuda" else None)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return ``module`` such that backward averages gradients over ranks; alone, the module itself.

        Buffers stay each rank's own (BatchNorm statistics of rank 0 are what a checkpoint keeps).
        """
        if self.world_size == 1:
            return module
        with warnings.catch_warnings():
            # The replacement for broadcast_buffers=False would overwrite every rank's buffers at the start.
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            return cast(nn.Module, _need(self.accelerator).prepare_model(module, device_placement=False))

    def unsynced(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which forward and backward of what ``wrap`` returned add to this rank's gradients alone.

        The next backward outside of it averages over ranks what was added up.
        """
        if self.world_size == 1:
            return nullcontext()
        return cast(AbstractContextManager[None], _need(self.accelerator).no_sync(wrapped))

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for forward passes: autocast to 16 bits, or nothing."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16 if self.precision == "bf16" else torch.float16)

    @contextmanager
    def leaving(self, *orderly: type[Exception]) -> Iterator[None]:
        """Close these ranks at the end of a block; on an error, tell it first: the others only see that this rank left.

        Args:
            orderly: errors with which all ranks end alike, and which somebody else tells.
        """
        failed = True
        try:
            yield
            failed = False
        except Exception as error:
            failed = not isinstance(error, orderly)
            if self.world_size > 1 and failed:
                tell(failure_of(error, self.rank))
            raise
        finally:
            self.close(failed=failed)

    def close(self, *, failed: bool = False) -> None:
        """Leave the process group and forget Accelerate's process-wide state; a second call does nothing.

        Args:
            failed: this rank ends with an error. On CUDA it then waits for nothing that the others still have to do:
                they may never do it.
        """
        if self.watch is not None:
            self.watch.close()
        if self.accelerator is None:
            return
        if dist.is_initialized() and self.opened_group:
            if failed and self.device.type == "cuda":
                # Leaving in order would wait for collectives that are under way.
                dist.distributed_c10d._abort_process_group()
            else:
                dist.destroy_process_group()
        forget_state()
        # A wrapped module hangs in a cycle of references and keeps the threads of gloo; see ``departure``.
        gc.collect()

    def _reduced(self, values: torch.Tensor, operation: Any) -> torch.Tensor:
        total = values.detach().clone()
        if self.world_size > 1:
            with self.meeting("all_reduce"):
                dist.all_reduce(total, op=operation)
        return total


def _need(accelerator: Accelerator | None) -> Accelerator:
    if accelerator is None:
        raise RunError("these ranks were not opened with Ranks.open and cannot wrap a module")
    return accelerator


def _check_device(cpu: bool, precision: Precision) -> None:
    if not cpu and not torch.cuda.is_available():
        raise RunError("train.device: expected a CUDA device, found none; set train.device=cpu or auto")
    if not cpu and precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise RunError("train.precision: this CUDA device computes no bf16; set train.precision=fp32")
    if cpu and precision == "fp16" and _env("LOCAL_RANK", 0) == 0:
        log.warning(
            "train.precision is fp16, which is for GPUs: on a CPU steps take longer than in float32; set "
            "train.precision=fp32, or bf16 where the CPU has it"
        )
    if cpu and precision == "bf16" and _env("LOCAL_RANK", 0) == 0 and not _computes_bf16():
        log.warning(
            "train.precision is bf16, which this CPU (%s) has no instructions for: steps take many times as long as in "
            "float32; set train.precision=fp32",
            torch.backends.cpu.get_cpu_capability(),
        )


def _computes_bf16() -> bool:
    """Whether convolutions in bf16 have a fast path: on x86 that begins with AVX-512; other CPUs are not judged."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not x86 or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _launched() -> bool:
    """Whether a launcher started this process as one of several (or as a group of one)."""
    if "LOCAL_RANK" in os.environ:
        return True
    if _env("WORLD_SIZE", 1) > 1:
        raise RunError(
            f"WORLD_SIZE is {_env('WORLD_SIZE', 1)} but LOCAL_RANK is not set; start with: torchrun --nproc-per-node N "
            "-m launch.train CONFIG, or unset WORLD_SIZE to run alone"
        )
    return False


def _launcher() -> int | None:
    """Return the process that ranks must not outlive: our launcher or torchrun; None where nobody waits for them."""
    started = "TORCHELASTIC_RUN_ID" in os.environ or RENDEZVOUS_VARIABLE in os.environ
    return os.getppid() if started else None


def long_timeout_s() -> float:
    """Return the seconds that ranks wait for one that works alone: ``WELLSTREAM_TIMEOUT_S``, or the default.

    Raises:
        RunError: it is not a number above 0.
    """
    text = os.environ.get(TIMEOUT_VARIABLE, str(DEFAULT_TIMEOUT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise RunError(f"{TIMEOUT_VARIABLE}: expected a number of seconds > 0, found '{text}'")
    return seconds


def _env(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise RunError(f"environment variable {name}: expected a whole number, found '{text}'") from None
