"""What a cluster wants to know of a job: the config that ``--on slurm`` and ``--on kubernetes`` read."""

from framework.cluster.config import ClusterConfig, KubernetesConfig, SlurmConfig, load_cluster_config

__all__ = ["ClusterConfig", "KubernetesConfig", "SlurmConfig", "load_cluster_config"]
