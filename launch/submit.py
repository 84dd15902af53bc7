"""A command as a job of a cluster: written, shown, submitted."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from framework.cluster import load_cluster_config
from framework.durable import write_text
from framework.errors import ConfigError, RunError
from framework.interpreter import python_on
from launch import kubernetes, show, slurm
from launch.elsewhere import Elsewhere
from launch.switches import ALLOW_CODE, DEBUG


def train_elsewhere(
    where: Elsewhere, config: Path, words: Sequence[str], *, nodes: int, nproc: int, dry_run: bool
) -> None:
    """Write the job that trains ``config``; submit it unless it is only to be shown.

    Args:
        where: which cluster.
        config: run YAML.
        words: words of the command line behind it: overrides and options of each machine.
        nodes: machines.
        nproc: ranks of each.
        dry_run: show it only.
    """
    name, settings = job_name("train", config), load_cluster_config(where.cluster or {})
    words = ["train", str(config), *words, "--nproc", str(nproc), *_switches()]
    if where.on == "kubernetes":
        if settings.kubernetes is None:
            raise ConfigError(
                "--on kubernetes needs an image; write it into a file: wellstream config cluster > "
                "cluster.yaml; then add --cluster cluster.yaml"
            )
        text = kubernetes.manifest(settings.kubernetes, name, words, nodes=nodes)
        _carry_out(text, Path(f"{name}.k8s.yaml"), ["kubectl", "apply", "-f"], dry_run)
    else:
        command = slurm.Command(here=_program(settings.slurm.container is not None), words=words)
        text = slurm.training(settings.slurm, name, command, nodes=nodes, folder=Path.cwd())
        _carry_out(text, Path(f"{name}.sbatch"), ["sbatch"], dry_run)


def ingest_elsewhere(
    where: Elsewhere, config: Path, out: Path, words: Sequence[str], *, nodes: int, workers: int | None, dry_run: bool
) -> None:
    """Write the job that ingests with workers on all machines of it; submit it unless it is only to be shown.

    Args:
        where: which cluster; Slurm alone.
        config: ingest YAML.
        out: dataset folder.
        words: overrides.
        nodes: machines.
        workers: on each; None: one per core.
        dry_run: show it only.
    """
    if where.on != "slurm":
        raise ConfigError(
            "--on: ingest can only use slurm; on Kubernetes start a Dask scheduler and name it: --scheduler ADDRESS"
        )
    settings, name = load_cluster_config(where.cluster or {}).slurm, job_name("ingest", config)
    inside = settings.container is not None
    command = slurm.Command(
        here=_program(inside), words=["ingest", str(config), *words, "--out", str(out), *_switches()]
    )
    text = slurm.ingesting(
        settings,
        name,
        command,
        nodes=nodes,
        workers=workers,
        folder=Path.cwd(),
        scheduler=_module("distributed.cli.dask_scheduler", inside),
        worker=_module("distributed.cli.dask_worker", inside),
    )
    _carry_out(text, Path(f"{name}.sbatch"), ["sbatch"], dry_run)


def job_name(what: str, config: Path) -> str:
    """Return a name that Slurm and Kubernetes take: ``wellstream-train-my``."""
    own = re.sub(r"[^a-z0-9]+", "-", config.stem.lower()).strip("-")
    return f"wellstream-{what}-{own}"[:50].rstrip("-")


def _switches() -> list[str]:
    return [switch.flag for switch in (DEBUG, ALLOW_CODE) if os.environ.get(switch.variable)]


def _program(in_container: bool) -> list[str]:
    """Return how ``wellstream`` is called there: by its name in an image, else as this very installation."""
    if in_container:
        return ["wellstream"]
    beside = Path(sys.executable).with_name("wellstream")
    return [str(beside)] if beside == Path(sys.argv[0]).absolute() else python_on("launch")


def _module(name: str, in_container: bool) -> list[str]:
    return ["python", "-m", name] if in_container else python_on(name)


def _carry_out(text: str, file: Path, submit: list[str], dry_run: bool) -> None:
    if dry_run:
        show.console.print(text.rstrip("\n"), soft_wrap=True)
        return
    write_text(file, text)
    command = [*submit, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - its name stands above
    except FileNotFoundError as error:
        raise RunError(
            f"{file}: written, but there is no {submit[0]} here; type there: {shlex.join(command)}"
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RunError(f"{file}: written, but {submit[0]} refused it: {said}")
    show.console.print(f"{file}: {' '.join(done.stdout.split())}")
