"""Batches to a device beside the computation: copies and scaling go to a stream of their own, ahead of their step.

Work that is queued on one stream runs in order; two streams run side by side until an event orders them. The events
here say three things: a page-locked buffer has been read and may be filled again, a batch is ready for the caller's
stream, and the caller's stream is done with a step. Two more, before and behind the wait for a batch, say how long the
device had nothing to compute because of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from typing import Protocol

import torch


class Mark(Protocol):
    """A point in a stream."""

    def synchronize(self) -> None:
        """Wait, in this thread, until the stream has come to this point."""
        ...

    def wait(self, stream: torch.cuda.Stream | None = None) -> None:
        """Let what is queued on ``stream`` from now on wait for this point."""
        ...


class Lane(Protocol):
    """A stream beside the one the caller computes on. Threads may queue on it at once."""

    def begin_thread(self) -> None:
        """Prepare this thread for queueing here."""
        ...

    def queueing(self) -> AbstractContextManager[object]:
        """Inside, what this thread asks of the device is queued here."""
        ...

    def mark(self) -> Mark:
        """Return the point after everything queued here so far."""
        ...

    def arrive(self, ready: Mark, tensors: Iterable[torch.Tensor]) -> None:
        """Let what the caller queues from now on wait for ``ready``, and keep the tensors' memory for as long."""
        ...

    def finish_step(self) -> float:
        """Note that a step has been queued by the caller, and wait until the device is through with the one before.

        Returns:
            Seconds that the device waited for the batches of steps it is through with, since the last call.
        """
        ...


class SideStream:
    """A lane of a CUDA device.

    Args:
        device: where batches go; computation happens on its current stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = _stream_of(device)
        self._device = self._stream.device
        self._previous: torch.cuda.Event | None = None
        self._waits: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()

    def begin_thread(self) -> None:
        """Without it the thread would begin, and take memory, on the first device of the machine."""
        torch.cuda.set_device(self._device)

    def queueing(self) -> AbstractContextManager[object]:
        """See ``Lane``."""
        return torch.cuda.stream(self._stream)

    def mark(self) -> torch.cuda.Event:
        """See ``Lane``."""
        return self._marked(self._stream)

    def arrive(self, ready: Mark, tensors: Iterable[torch.Tensor]) -> None:
        """See ``Lane``."""
        caller = torch.cuda.current_stream(self._device)
        began = self._marked(caller, timed=True)
        ready.wait(caller)
        self._waits.append((began, self._marked(caller, timed=True)))
        for tensor in tensors:
            # Its memory belongs to the side stream, which would use it again as soon as nothing here refers to it,
            # while the caller's stream may still have to read it.
            tensor.record_stream(caller)

    def finish_step(self) -> float:
        """See ``Lane``."""
        previous, self._previous = self._previous, self._marked(torch.cuda.current_stream(self._device))
        if previous is None:
            return 0.0
        previous.synchronize()
        waited_ms = 0.0
        # All but that of the step just queued lie before the point that was waited for.
        while len(self._waits) > 1:
            began, ended = self._waits.popleft()
            waited_ms += began.elapsed_time(ended)
        return waited_ms / 1e3

    def _marked(self, stream: torch.cuda.Stream, *, timed: bool = False) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=timed)  # type: ignore[no-untyped-call]
        event.record(stream)
        return event


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """One per device and process: what a stream has used is kept for it, so each new one would take its own memory."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def lane_to(device: torch.device) -> Lane | None:
    """Return a lane to a device that has streams; None where the caller's memory is the device's."""
    return SideStream(device) if device.type == "cuda" else None
