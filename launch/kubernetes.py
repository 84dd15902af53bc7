"""Manifests for Kubernetes: a run as an Indexed Job with a headless Service, or as a PyTorchJob of Kubeflow.

Every machine of a run is a pod that runs the same command. Kubernetes fills the number of the pod into its arguments.
A pod that saved and ended with code 75, or was evicted, is replaced and goes on; a mistake ends the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from framework.cluster import KubernetesConfig
from framework.exit_codes import EXIT_MISTAKE, EXIT_REQUEUE, EXIT_TERMINATED

PORT = 23456
_LABEL = "wellstream/run"
_CONTAINER = "pytorch"
"""The name that the training operator looks for."""


def manifest(config: KubernetesConfig, name: str, words: Sequence[str], *, nodes: int) -> str:
    """Return the YAML of a training, for ``kubectl apply -f``.

    Args:
        config: how pods are asked for.
        name: name of the job.
        words: words of ``wellstream``, without the options of several machines.
        nodes: pods.
    """
    documents = (
        _pytorchjob(config, name, words, nodes) if config.kind == "pytorchjob" else _job(config, name, words, nodes)
    )
    text: str = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _job(config: KubernetesConfig, name: str, words: Sequence[str], nodes: int) -> list[dict[str, Any]]:
    args = [*words, *_several(nodes, "$(JOB_COMPLETION_INDEX)", f"{name}-0.{name}")]
    labels = {_LABEL: name}
    pod = {**_pod(config, args), "restartPolicy": "Never", "subdomain": name}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(config, name),
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimit": config.retries,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "Ignore",
                        "onExitCodes": {
                            "containerName": _CONTAINER,
                            "operator": "In",
                            "values": [EXIT_REQUEUE, EXIT_TERMINATED],
                        },
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": _CONTAINER, "operator": "In", "values": [EXIT_MISTAKE]},
                    },
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    if nodes == 1:
        return [job]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(config, name),
        # A pod must be found before it is ready: it becomes so only when it has found the others.
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels},
    }
    return [service, job]


def _pytorchjob(config: KubernetesConfig, name: str, words: Sequence[str], nodes: int) -> list[dict[str, Any]]:
    args = [*words, *_several(nodes, "$(RANK)", f"{name}-master-0")]

    def replicas(count: int) -> dict[str, Any]:
        return {"replicas": count, "restartPolicy": "OnFailure", "template": {"spec": _pod(config, args)}}

    roles = {"Master": replicas(1)}
    if nodes > 1:
        roles["Worker"] = replicas(nodes - 1)
    return [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": _metadata(config, name),
            "spec": {
                "runPolicy": {"backoffLimit": config.retries, "cleanPodPolicy": "Running"},
                "pytorchReplicaSpecs": roles,
            },
        }
    ]


def _several(nodes: int, number: str, master: str) -> list[str]:
    if nodes == 1:
        return []
    return ["--nodes", str(nodes), "--node-rank", number, "--master", f"{master}:{PORT}"]


def _metadata(config: KubernetesConfig, name: str) -> dict[str, Any]:
    place = {} if config.namespace is None else {"namespace": config.namespace}
    return {"name": name, **place, "labels": {_LABEL: name}}


def _pod(config: KubernetesConfig, args: Sequence[str]) -> dict[str, Any]:
    resources: dict[str, Any] = {
        key: value
        for key, value in (
            ("cpu", None if config.cpus is None else str(config.cpus)),
            ("memory", config.memory),
            (config.gpu_resource, str(config.gpus) if config.gpus else None),
        )
        if value is not None
    }
    mounts = [{"name": f"volume-{number}", "mountPath": path} for number, path in enumerate(config.volumes.values())]
    volumes = [
        {"name": f"volume-{number}", "persistentVolumeClaim": {"claimName": claim}}
        for number, claim in enumerate(config.volumes)
    ]
    container: dict[str, Any] = {
        "name": _CONTAINER,
        "image": config.image,
        "command": ["wellstream"],
        # $(NAME) is filled in by Kubernetes; a text of the user that looks so stays as it is.
        "args": [
            word if word in ("$(RANK)", "$(JOB_COMPLETION_INDEX)") else word.replace("$(", "$$(") for word in args
        ],
        "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}, *mounts],  # noqa: S108 - of the pod
    }
    if resources:
        container["resources"] = {"limits": resources}
    if config.workdir is not None:
        container["workingDir"] = config.workdir
    memory = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": config.shared_memory}}
    return {
        "terminationGracePeriodSeconds": config.grace_s,
        "containers": [container],
        "volumes": [memory, *volumes],
    }
