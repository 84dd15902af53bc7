"""Manifests are what the published schemas of Kubernetes allow, and say what a run needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from framework.cluster import KubernetesConfig
from launch import kubernetes
from launch.cli import app

VERSIONS = ("1.31", "1.37")
"""Every version has schemas of its own; ``podFailurePolicy`` is stable since the first of these."""
WORDS = ["train", "my.yaml", "run_dir=/runs/$(id)", "--nproc", "8"]
FULL: dict[str, Any] = {
    "image": "registry/wellstream:1",
    "namespace": "lab",
    "gpus": 8,
    "cpus": 64,
    "memory": "256Gi",
    "volumes": {"plates": "/data", "runs": "/runs"},
    "workdir": "/runs",
}
# Kubeflow's PyTorchJob (kubeflow.org/v1): fields of KubeflowOrgV1PyTorchJobSpec, KubeflowOrgV1RunPolicy and
# KubeflowOrgV1ReplicaSpec as in the package kubeflow-training 1.9, and of each the values that the operator knows.
PYTORCHJOB: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "kubeflow.org/v1"},
        "kind": {"const": "PyTorchJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "required": ["pytorchReplicaSpecs"],
            "additionalProperties": False,
            "properties": {
                "elasticPolicy": {"type": "object"},
                "nprocPerNode": {"type": "string"},
                "runPolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "activeDeadlineSeconds": {"type": "integer"},
                        "backoffLimit": {"type": "integer"},
                        "cleanPodPolicy": {"enum": ["All", "Running", "None"]},
                        "managedBy": {"type": "string"},
                        "schedulingPolicy": {"type": "object"},
                        "suspend": {"type": "boolean"},
                        "ttlSecondsAfterFinished": {"type": "integer"},
                    },
                },
                "pytorchReplicaSpecs": {
                    "type": "object",
                    "required": ["Master"],
                    "additionalProperties": False,
                    "properties": {"Master": {"$ref": "#/$defs/replicas"}, "Worker": {"$ref": "#/$defs/replicas"}},
                },
            },
        },
    },
    "$defs": {
        "replicas": {
            "type": "object",
            "required": ["replicas", "restartPolicy", "template"],
            "additionalProperties": False,
            "properties": {
                "replicas": {"type": "integer", "minimum": 1},
                "restartPolicy": {"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
                "template": {"type": "object"},
            },
        }
    },
}


def documents(nodes: int, **changes: Any) -> list[dict[str, Any]]:
    config = KubernetesConfig.from_plain({**FULL, **changes})
    return list(yaml.safe_load_all(kubernetes.manifest(config, "wellstream-train-my", WORDS, nodes=nodes)))


def check(document: dict[str, Any]) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("config", [FULL, {"image": "wellstream"}], ids=["full", "least"])
def test_a_job_and_its_service_are_what_the_schemas_allow(nodes: int, config: dict[str, Any]) -> None:
    plain = KubernetesConfig.from_plain(config)
    made = list(yaml.safe_load_all(kubernetes.manifest(plain, "a", WORDS, nodes=nodes)))
    assert [one["kind"] for one in made] == (["Job"] if nodes == 1 else ["Service", "Job"])
    for one in made:
        check(one)


def test_the_schemas_see_a_wrong_field() -> None:
    (job,) = documents(1)
    job["spec"]["template"]["spec"]["containers"][0]["arguments"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        check(job)


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_pytorchjob_is_what_the_operator_reads_and_its_pods_are_what_kubernetes_allows(nodes: int) -> None:
    (job,) = documents(nodes, kind="pytorchjob")
    jsonschema.validate(job, PYTORCHJOB)
    roles = job["spec"]["pytorchReplicaSpecs"]
    assert {name: role["replicas"] for name, role in roles.items()} == (
        {"Master": 1} if nodes == 1 else {"Master": 1, "Worker": 2}
    )
    for role in roles.values():
        check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": role["template"]["spec"]})
        assert role["template"]["spec"]["containers"][0]["name"] == "pytorch", "the operator looks for it"


def test_pods_of_a_job_find_the_first_by_a_name_that_its_service_gives() -> None:
    service, job = documents(3)
    pods = job["spec"]["template"]
    assert service["metadata"]["name"] == pods["spec"]["subdomain"] == "wellstream-train-my"
    assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    args = pods["spec"]["containers"][0]["args"]
    # Host name of pod 0 of an Indexed Job is NAME-0, in the domain of its service.
    assert args[-2:] == ["--master", "wellstream-train-my-0.wellstream-train-my:23456"]
    assert args[-6:-2] == ["--nodes", "3", "--node-rank", "$(JOB_COMPLETION_INDEX)"]
    assert "run_dir=/runs/$$(id)" in args, "Kubernetes leaves it as it was typed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)


def test_what_pods_end_with_decides_whether_they_are_replaced() -> None:
    (job,) = documents(1)
    rules = job["spec"]["podFailurePolicy"]["rules"]
    actions = {
        code: rule["action"] for rule in rules if "onExitCodes" in rule for code in rule["onExitCodes"]["values"]
    }
    assert actions == {75: "Ignore", 143: "Ignore", 2: "FailJob"}
    assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_pods_have_the_gpus_the_volumes_and_the_time_to_save() -> None:
    (job,) = documents(1, grace_s=300)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "8"}
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    claims = {
        volume["persistentVolumeClaim"]["claimName"]: places[volume["name"]]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"plates": "/data", "runs": "/runs"}
    assert places["shared-memory"] == "/dev/shm"  # noqa: S108 - of the pod
    assert pod["terminationGracePeriodSeconds"] == 300


def test_a_dry_run_shows_the_manifest_that_would_be_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Path(__file__).resolve().parents[2] / "experiments/marker_regression/train.yaml"
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump({"kubernetes": FULL}))
    words = ["train", str(config), "--nodes", "2", "--nproc", "8", "--on", "kubernetes", "--dry-run"]
    refused = CliRunner().invoke(app, words)
    assert "needs an image" in str(refused.exception)
    shown = CliRunner().invoke(app, [*words, "--cluster", "cluster.yaml"])
    assert shown.exit_code == 0, shown.exception
    service, job = yaml.safe_load_all(shown.stdout)
    check(service)
    check(job)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cluster.yaml"]
