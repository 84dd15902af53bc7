"""``ClusterConfig``: how jobs are asked for on the machines of one lab, written once for all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.config import StrictModel, load_config

Word = Annotated[str, Field(pattern=r"^\S+$")]
"""Text without blanks, as it stands behind ``--option=``."""
Line = Annotated[str, Field(pattern=r"^[^\r\n]+$")]


class SlurmConfig(StrictModel):
    """The section ``slurm``. What is left out, Slurm decides."""

    account: Word | None = None
    """Account that is charged (``--account``)."""
    partition: Word | None = None
    """Partition (``--partition``)."""
    qos: Word | None = None
    """Quality of service (``--qos``)."""
    time: Word | None = None
    """Longest time, as ``12:00:00`` or ``2-00:00:00`` (``--time``)."""
    gres: Word | None = None
    """What each machine must have, as ``gpu:8`` (``--gres``)."""
    cpus: int | None = Field(default=None, ge=1)
    """Cores on each machine (``--cpus-per-task``: there is one task per machine)."""
    memory: Word | None = None
    """Memory on each machine, as ``128G`` (``--mem``)."""
    options: tuple[Word, ...] = ()
    """Further options of sbatch, as ``--exclusive``."""
    before: tuple[Line, ...] = ()
    """Lines of bash before the work, as ``module load cuda``."""
    container: Line | None = None
    """Container image to run in; None: use what is installed here."""
    container_command: Line = "apptainer exec --nv"
    """Command that starts the container; the name of the image follows it."""
    notice_s: int = Field(default=120, ge=1)
    """How many seconds before the end of its time the job is told, so that it can save (``--signal``)."""
    requeue: bool = True
    """Whether a job that was stopped by its time limit or by another job is queued again and goes on."""


class KubernetesConfig(StrictModel):
    """The section ``kubernetes``. Each machine of a run is a pod."""

    image: Word
    """Image with Wellstream in it."""
    kind: Literal["job", "pytorchjob"] = "job"
    """``job``: an Indexed Job with a Service, which any cluster has; ``pytorchjob``: for Kubeflow's operator."""
    namespace: Word | None = None
    """Namespace; None: that of kubectl."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of each pod."""
    gpu_resource: Word = "nvidia.com/gpu"
    """Name of a GPU among the resources."""
    cpus: int | None = Field(default=None, ge=1)
    """Cores of each pod."""
    memory: Word | None = None
    """Memory of each pod, as ``128Gi``."""
    shared_memory: Word = "8Gi"
    """Size of the shared memory through which GPUs exchange data (``/dev/shm``)."""
    volumes: dict[str, str] = Field(default_factory=dict)
    """Persistent volume claim -> folder where pods see it, for datasets and runs; the same in all pods."""
    workdir: Word | None = None
    """Working folder; paths are relative to it. None: that of the image."""
    grace_s: int = Field(default=120, ge=1)
    """Seconds between SIGTERM and the end of a pod, in which it can save."""
    retries: int = Field(default=20, ge=0)
    """How often pods may fail; a pod that was evicted, or that saved and ended with code 75, does not count."""


class ClusterConfig(StrictModel):
    """How jobs are asked for on the machines of a lab."""

    slurm: SlurmConfig = Field(default_factory=SlurmConfig)
    """For ``--on slurm``."""
    kubernetes: KubernetesConfig | None = None
    """For ``--on kubernetes``."""


def load_cluster_config(source: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> ClusterConfig:
    """Read a cluster YAML. Raises ConfigError, with every mistake in it."""
    return load_config(source, ClusterConfig, overrides)
