"""Theme ``mil``: semi-hard triplet mining, forward and backward, against a loop over anchors and positives.

The arms must give the same loss. The limit is the matrix product behind the distances, which nothing can do without.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.harness import Arm, Measured, measure
from framework.objectives.triplets import RowFacts, triplet_sums

WIDTH = 128
CLASSES = 12
MARGIN = 0.2


def loop(embeddings: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """Semi-hard triplet sum written down pair by pair (Schroff 2015, section 3.2)."""
    distances = ((embeddings[:, None] - embeddings[None]) ** 2).sum(2)
    total = embeddings.new_zeros(())
    for anchor in range(len(embeddings)):
        negatives = distances[anchor][condition != condition[anchor]]
        for positive in torch.nonzero(condition == condition[anchor]).ravel().tolist():
            if positive == anchor:
                continue
            d_ap = distances[anchor, positive]
            farther = negatives[negatives > d_ap]
            d_an = farther.min() if len(farther) else negatives.max()
            total = total + torch.relu(d_ap - d_an + MARGIN)
    return total


def vectorised(embeddings: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """Ours."""
    rows = torch.arange(len(embeddings))
    facts = RowFacts(condition=condition, bag=rows, sample=rows, counted=torch.ones_like(rows))
    sums = triplet_sums(
        embeddings, facts, embeddings, facts, margin=MARGIN, mining="semi_hard", same_bag_positives=True
    )
    return sums.total


def run(*, quick: bool) -> list[Measured]:
    """Measure one batch of the paper's 240 wells (60 when quick).

    Raises:
        WrongPixels: the arms disagree about the loss.
    """
    wells = 60 if quick else 240
    random = np.random.default_rng(0)
    embeddings = torch.from_numpy(random.normal(0, 0.1, (wells, WIDTH)))
    condition = torch.arange(wells) % CLASSES

    def product() -> None:
        leaf = embeddings.clone().requires_grad_()
        (leaf @ leaf.T).sum().backward()

    def arm(name: str, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Arm:
        leaf = embeddings.clone().requires_grad_()

        def work() -> None:
            leaf.grad = None
            function(leaf, condition).backward()

        def result() -> str:
            total = function(leaf, condition)
            gradient = torch.autograd.grad(total, leaf)[0]
            return f"{total.item():.6g} {gradient.norm().item():.6g}"

        return Arm(name=name, work=work, result=result)

    arms = [
        Arm(name="matrix product", work=product, is_limit=True),
        arm("plain loop", loop),
        arm("wellstream", vectorised),
    ]
    seconds = measure(arms, 3 if quick else 5)
    return [Measured(theme="mil", unit="wells", items=wells, seconds=seconds, limit="matrix product")]
