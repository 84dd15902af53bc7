"""``harmony``: Harmony (Korsunsky 2019) on the controls; other rows are mapped onto it as Symphony does (Kang 2021).

Harmony finds soft clusters of controls in which all groups are mixed. A group is then moved, cluster by cluster, from
where its own controls lie to where the corrected controls of all groups lie, with a ridge (Symphony, eq. 4). So a new
plate needs its own controls alone, and no treated row takes part in the fit. Features are centred per group before,
as profiles are in practice: what is left for Harmony is what differs between groups cluster by cluster.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framework.errors import InputError
from framework.profiles.methods.base import METHODS, Controls, Floats, Method, MethodOptions, State
from framework.profiles.methods.residuals import Residuals, divided

_SIGMA = 0.1
"""Width of the soft clusters, as in the publication."""
_ROWS_PER_CLUSTER = 30


class HarmonyOptions(MethodOptions):
    """Options of ``harmony``."""

    name: Literal["harmony"] = "harmony"
    clusters: int | None = Field(default=None, ge=1)
    """Soft clusters; none named: one per 30 controls, at most 100, as harmonypy."""
    theta: float = Field(default=2.0, ge=0)
    """How strongly groups are mixed within clusters."""
    ridge: float = Field(default=1.0, gt=0)
    """How many control rows of a cluster count as lying where those of all groups lie; 1 in the publication."""
    seed: int = Field(default=0, ge=0)
    """Seed of the clusters."""


@METHODS.register("harmony", HarmonyOptions)
class HarmonyMethod(Method[HarmonyOptions]):
    """Correction by soft cluster, after features were centred per group and scaled."""

    shared: ClassVar[tuple[str, ...]] = ("sd", "centroids", "reference")
    own: ClassVar[tuple[str, ...]] = ("centre", "shift")

    def learn(self, controls: Controls) -> State:
        """Return scale, centroids (K, d) of length 1, and where corrected controls of each cluster lie (K, d)."""
        if controls.group_count < 2:
            raise InputError(
                "Harmony mixes groups, but there is only one; expected two or more: name columns with --by"
            )
        residuals = Residuals.of(controls)
        scaled = residuals.values
        clusters = self.options.clusters or min(max(round(len(scaled) / _ROWS_PER_CLUSTER), 1), 100)
        found = _harmonypy().run_harmony(
            scaled,
            {"group": controls.groups},
            "group",
            theta=self.options.theta,
            sigma=_SIGMA,
            nclust=min(clusters, len(scaled)),
            random_state=self.options.seed,
            verbose=False,
            ncores=1,
        )
        corrected = np.asarray(found.Z_corr, dtype=np.float64)
        centroids = _unit(np.asarray(found.Y, dtype=np.float64).T)
        shares = _shares(corrected, centroids)
        weights = shares.sum(axis=0)
        reference = divided((shares.T @ corrected).T, weights).T
        return {"sd": residuals.sd, "centroids": centroids, "reference": reference}

    def learn_group(self, values: Floats, shared: State) -> State:
        """Return the mean of the controls, and how far they lie from those of all groups in each cluster, (K, d)."""
        centre = values.mean(axis=0)
        scaled = divided(values - centre, shared["sd"])
        shares = _shares(scaled, shared["centroids"])
        weights = shares.sum(axis=0)[:, None]
        off = shares.T @ scaled - weights * shared["reference"]
        return {"centre": centre, "shift": off / (weights + self.options.ridge)}

    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows (m, d) corrected; features that are constant on all controls become 0."""
        scaled = divided(values - own["centre"], shared["sd"])
        corrected: Floats = scaled - _shares(scaled, shared["centroids"]) @ own["shift"]
        return corrected


def _harmonypy() -> Any:
    try:
        import harmonypy
    except ImportError as error:
        raise InputError(
            f"the method 'harmony' needs harmonypy ({error}); install it with: pip install 'wellstream[profiles]'"
        ) from None
    return harmonypy


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit


def _shares(values: Floats, centroids: Floats) -> Floats:
    """Return the share of each cluster in each row, (n, K), by cosine distance; sums to 1."""
    score = -2.0 * (1.0 - _unit(values) @ centroids.T) / _SIGMA
    score -= score.max(axis=1, keepdims=True)
    weight = np.exp(score)
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)
    return shares
