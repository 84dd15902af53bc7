"""Batch scripts for Slurm: one task per machine, told before its end, queued again when it was stopped.

Ranks and workers are steps of the job (``srun``), because Slurm tells steps before it ends or preempts a job; the
script itself is told of the end of its time, and passes that on. A command that ends with 75, or was ended by
SIGTERM before it had begun to train, is queued again and goes on where it stopped.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.cluster import SlurmConfig
from framework.exit_codes import EXIT_REQUEUE, EXIT_TERMINATED

_FIRST_PORT, _PORTS = 20000, 20000
"""Each job has a port of its own, by its number, so that two on one machine do not meet."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a job runs.

    Attributes:
        here: how ``wellstream`` is called where the job runs.
        words: words of the command line behind it.
    """

    here: Sequence[str]
    words: Sequence[str]


def training(config: SlurmConfig, name: str, command: Command, *, nodes: int, folder: Path) -> str:
    """Return the script of a training.

    Args:
        config: how jobs are asked for.
        name: name of the job.
        command: without the options of several machines.
        nodes: machines.
        folder: in which it runs.
    """
    called = _inside(config, [*command.here, *command.words])
    lines = _head(config, name, nodes, folder)
    if nodes == 1:
        lines += [f"srun --kill-on-bad-exit=0 {called} &"]
    else:
        lines += [
            *_first_machine(),
            f'place="$address:$(({_FIRST_PORT} + SLURM_JOB_ID % {_PORTS}))"',
            f'srun --kill-on-bad-exit=0 bash -c \'exec "$@" --nodes {nodes} --node-rank "$SLURM_NODEID" '
            '--rdzv-id "$SLURM_JOB_ID" --master "$0"\' "$place" \\',
            f"  {called} &",
        ]
    return "\n".join([*lines, "work=$!", *_end(config), ""])


def ingesting(
    config: SlurmConfig,
    name: str,
    command: Command,
    *,
    nodes: int,
    workers: int | None,
    folder: Path,
    scheduler: Sequence[str],
    worker: Sequence[str],
) -> str:
    """Return the script of an ingest: a Dask scheduler, workers on all machines of the job, and the command itself.

    Args:
        config: how jobs are asked for.
        name: name of the job.
        command: without the options of a scheduler.
        nodes: machines.
        workers: on each; None: one per core.
        folder: in which it runs; all machines see it.
        scheduler: command of a Dask scheduler.
        worker: command of Dask workers.
    """
    count = str(workers) if workers else '"${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}"'
    every = f"$(({count.strip(chr(34))} * {nodes}))"
    return "\n".join(
        [
            *_head(config, name, nodes, folder),
            *_first_machine(),
            'meet="$PWD/.wellstream-dask-$SLURM_JOB_ID"',
            'rm -rf "$meet" && mkdir -m 700 "$meet"',
            # No step, so that it outlives the workers, which Slurm tells of the end at the same time as the command.
            f'{_inside(config, scheduler)} --host "$address" --port 0 --no-dashboard --no-show '
            '--scheduler-file "$meet/scheduler.json" > "$meet/scheduler.log" 2>&1 &',
            "scheduler=$!",
            f'srun --overlap {_inside(config, worker)} --scheduler-file "$meet/scheduler.json" --nthreads 1 '
            f"--nworkers {count} --memory-limit 0 --no-dashboard --death-timeout 60 "
            '--local-directory "${TMPDIR:-/tmp}" > "$meet/workers.log" 2>&1 &',
            "workers=$!",
            f"srun --overlap --nodes=1 --ntasks=1 {_inside(config, [*command.here, *command.words])} "
            f'--scheduler "$meet/scheduler.json" --workers "{every}" &',
            "work=$!",
            *_end(
                config,
                'kill "$workers" "$scheduler" 2> /dev/null',
                f'if [ "$code" -eq 0 ] || [ "$code" -eq {EXIT_TERMINATED} ]; then rm -rf "$meet"; fi',
            ),
            "",
        ]
    )


def _head(config: SlurmConfig, name: str, nodes: int, folder: Path) -> list[str]:
    asked = {
        "job-name": name,
        "chdir": str(folder),
        "output": f"{name}-%j.out",
        "open-mode": "append",
        "nodes": nodes,
        "ntasks-per-node": 1,
        "account": config.account,
        "partition": config.partition,
        "qos": config.qos,
        "time": config.time,
        "gres": config.gres,
        "cpus-per-task": config.cpus,
        "mem": config.memory,
        "signal": f"B:TERM@{config.notice_s}",
    }
    options = [f"--{key}={shlex.quote(str(value))}" for key, value in asked.items() if value is not None]
    options += ["--requeue" if config.requeue else "--no-requeue", *config.options]
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options), *config.before]
    if config.cpus is not None:
        # Steps have not taken it from the job since Slurm 22.05.
        lines.append(f"export SRUN_CPUS_PER_TASK={config.cpus}")
    return lines


def _first_machine() -> list[str]:
    """Lines that find the address by which Slurm itself reaches the first machine."""
    return [
        'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "address=$(scontrol show node \"$first\" | sed -n 's/.*NodeAddr=\\([^ ]*\\).*/\\1/p')",
    ]


def _inside(config: SlurmConfig, words: Sequence[str]) -> str:
    called = shlex.join(words)
    if config.container is None:
        return called
    return f"{config.container_command} {shlex.quote(config.container)} {called}"


def _end(config: SlurmConfig, *tidying: str) -> list[str]:
    """Lines that wait for the work, pass SIGTERM on to it, and queue the job again where it was stopped."""
    lines = [
        # Without --batch it goes to the steps alone.
        "trap 'heard=1; scancel --signal=TERM \"$SLURM_JOB_ID\"' TERM",
        # A wait that SIGTERM interrupts says nothing of the work.
        'until heard=; wait "$work"; code=$?; [ -z "$heard" ]; do :; done',
        *tidying,
    ]
    if config.requeue:
        lines += [
            f'if [ "$code" -eq {EXIT_REQUEUE} ] || [ "$code" -eq {EXIT_TERMINATED} ]; then',
            # Not where somebody has cancelled it.
            '  if [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
            "fi",
        ]
    return [*lines, 'exit "$code"']
