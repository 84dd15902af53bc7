"""Theme ``mil``: semi-hard triplet mining, and the pooling of ragged bags, forward and backward.

At the paper's 240 wells and at 4,096, against a loop over anchors and positives (or over bags) and against
pytorch-metric-learning. Our arms must give the loop's loss and gradient, in float64, and gradients must agree with
finite differences. pytorch-metric-learning's ``semihard`` keeps every negative within the margin beyond the positive,
ours the nearest one per pair (and, where every negative is nearer than the positive, the farthest): its triplets, cut
down to the nearest of each pair, must be exactly those of ours that lie within the margin. Limits: one matrix product,
and the sum of all tiles.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.harness import Arm, Measured, Target, WrongPixels, measure
from framework.models import GatedAttention, mean_over_tiles
from framework.objectives.triplets import RowFacts, triplet_sums

WIDTH = 128
TILES = 48
MARGIN = 0.2
BAGS_PER_CONDITION = 4
Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_GRADIENTS = "gradients agree with finite differences in float64"
_DEFINITION = (
    "pytorch-metric-learning's semihard keeps every negative within the margin; "
    "its nearest of each pair are the same triplets as ours"
)


def loop(embeddings: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """Semi-hard triplet sum written down pair by pair (Schroff 2015, section 3.2)."""
    total = embeddings.new_zeros(())
    # Rows apart: each indexing of the whole would make a gradient of its size.
    fixed, rows = embeddings.detach(), embeddings.unbind()
    lengths = fixed.square().sum(1)
    for anchor, x in enumerate(rows):
        distances = lengths + lengths[anchor] - 2 * (fixed @ fixed[anchor])
        negatives = torch.nonzero(condition != condition[anchor]).ravel()
        for positive in torch.nonzero(condition == condition[anchor]).ravel().tolist():
            if positive == anchor:
                continue
            farther = negatives[distances[negatives] > distances[positive]]
            negative = (
                farther[distances[farther].argmin()] if len(farther) else negatives[distances[negatives].argmax()]
            )
            d_ap, d_an = (x - rows[positive]).square().sum(), (x - rows[int(negative)]).square().sum()
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
    """Measure mining at 240 (60 when quick) and 4,096 (512) wells, and pooling of as many ragged bags.

    Raises:
        WrongPixels: the arms disagree about loss, gradient or triplets.
    """
    sizes = (60, 512) if quick else (240, 4096)
    repetitions = 3 if quick else 5
    threads = torch.get_num_threads()
    # One thread: arms of less than a millisecond would measure how threads wait for each other on a busy machine.
    torch.set_num_threads(1)
    try:
        check_gradients()
        mined = [mining(rows, repetitions) for rows in sizes]
        return [*mined, *(pooling(rows, repetitions) for rows in sizes)]
    finally:
        torch.set_num_threads(threads)


def check_gradients() -> None:
    """Compare the gradients of mining and of both kinds of pooling with finite differences, in float64.

    Raises:
        WrongPixels: they differ.
    """
    random = torch.Generator().manual_seed(1)
    embeddings = torch.randn(12, 5, generator=random, dtype=torch.float64) * 0.3
    condition = torch.arange(12) // BAGS_PER_CONDITION
    tiles = torch.randn(4, 5, 3, generator=random, dtype=torch.float64)
    weights = (torch.arange(5) < torch.tensor([[1], [5], [3], [4]])).double()
    torch.manual_seed(1)
    attention = GatedAttention(3, hidden=4).double()
    cases: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = {
        "mining": (lambda x: vectorised(x, condition), embeddings),
        "mean": (lambda x: mean_over_tiles(x, weights), tiles),
        "attention": (lambda x: attention(x, weights), tiles),
    }
    for name, (function, at) in cases.items():
        if not torch.autograd.gradcheck(function, (at.requires_grad_(),), raise_exception=False):
            raise WrongPixels(f"the gradient of {name} is not that of finite differences")


def mining(rows: int, repetitions: int) -> Measured:
    """Measure one number of rows."""
    random = torch.Generator().manual_seed(0)
    embeddings = torch.randn(rows, WIDTH, generator=random) * 0.1
    condition = torch.arange(rows) // BAGS_PER_CONDITION

    def product() -> None:
        leaf = embeddings.clone().requires_grad_()
        (leaf @ leaf.T).sum().backward()

    arms = [
        Arm(name="matrix product", work=product, is_limit=True),
        _arm("wellstream", vectorised, embeddings, condition),
        _arm("plain loop", loop, embeddings, condition),
    ]
    targets = [Target(arm="wellstream", over="plain loop", least=1.0, clock="cpu")]
    absent: dict[str, str] = {}
    try:
        function = _metric_learning()
        _check_triplets(embeddings, condition)
        arms.append(_arm("pytorch-metric-learning", function, embeddings, condition, agrees=False))
        targets.append(Target(arm="wellstream", over="pytorch-metric-learning", least=1.0, clock="cpu"))
    except ImportError as error:
        absent["pytorch-metric-learning"] = str(error)
    return Measured(
        theme="mil",
        case=f"semi-hard mining, K={rows}",
        unit="wells",
        items=rows,
        costs=measure(arms, repetitions),
        limit="matrix product",
        absent=absent,
        targets=tuple(targets),
        notes=(_GRADIENTS,) if absent else (_GRADIENTS, _DEFINITION),
    )


def pooling(bags: int, repetitions: int) -> Measured:
    """Measure ragged mean and attention of bags of 1 to 48 tiles, against a loop over bags."""
    random = np.random.default_rng(0)
    counts = torch.from_numpy(random.integers(1, TILES + 1, bags))
    weights = (torch.arange(TILES) < counts[:, None]).float()
    tiles = torch.from_numpy(random.normal(0, 1, (bags, TILES, WIDTH)).astype(np.float32))
    torch.manual_seed(0)
    attention = GatedAttention(WIDTH)

    def each(function: Function) -> Function:
        return lambda x, w: torch.cat([function(one[None, : int(n)], w[:0]) for one, n in zip(x, counts, strict=True)])

    arms = [
        Arm(name="sum of all tiles", work=lambda: _backward(lambda x, w: x.sum(1), tiles, weights), is_limit=True),
        _pool_arm("wellstream mean", mean_over_tiles, tiles, weights),
        _pool_arm("wellstream attention", attention, tiles, weights),
        _pool_arm("plain loop, mean", each(lambda x, _: x.mean(1)), tiles, weights),
        _pool_arm("plain loop, attention", each(lambda x, _: attention(x)), tiles, weights),
    ]
    targets = tuple(
        Target(arm=f"wellstream {one}", over=f"plain loop, {one}", least=1.0, clock="cpu")
        for one in ("mean", "attention")
    )
    _check_pooling(tiles, weights, attention, each)
    return Measured(
        theme="mil",
        case=f"ragged pooling, K={bags}",
        unit="bags",
        items=bags,
        costs=measure(arms, repetitions),
        limit="sum of all tiles",
        targets=targets,
        notes=(_GRADIENTS,),
    )


def _backward(function: Function, tiles: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = tiles.clone().requires_grad_()
    pooled = function(leaf, weights)
    pooled.square().sum().backward()
    gradient = leaf.grad
    return pooled.detach(), gradient if gradient is not None else torch.zeros_like(leaf)


def _pool_arm(name: str, function: Function, tiles: torch.Tensor, weights: torch.Tensor) -> Arm:
    return Arm(name=name, work=lambda: _backward(function, tiles, weights))


def _check_pooling(
    tiles: torch.Tensor, weights: torch.Tensor, attention: GatedAttention, each: Callable[[Function], Function]
) -> None:
    pairs: list[tuple[Function, Function]] = [
        (mean_over_tiles, each(lambda x, _: x.mean(1))),
        (attention, each(lambda x, _: attention(x))),
    ]
    for ours, plain in pairs:
        for one, other in zip(_backward(ours, tiles, weights), _backward(plain, tiles, weights), strict=True):
            if not torch.allclose(one, other, rtol=1e-4, atol=1e-5):
                raise WrongPixels("pooling and a plain loop over bags disagree")


def _arm(
    name: str, function: Function, embeddings: torch.Tensor, condition: torch.Tensor, *, agrees: bool = True
) -> Arm:
    leaf = embeddings.clone().requires_grad_()

    def work() -> None:
        leaf.grad = None
        function(leaf, condition).backward()

    def result() -> str:
        double = embeddings.double().requires_grad_()
        total = function(double, condition)
        gradient = torch.autograd.grad(total, double)[0]
        return f"{total.item():.6g} {gradient.norm().item():.6g}"

    return Arm(name=name, work=work, result=result if agrees else None)


def _metric_learning() -> Function:
    """Their miner and their loss, in units of squared distance as ours."""
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner
    from pytorch_metric_learning.reducers import SumReducer

    distance = LpDistance(normalize_embeddings=False, power=2)
    miner = TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard", distance=distance)
    loss = TripletMarginLoss(margin=MARGIN, distance=distance, reducer=SumReducer())

    def function(embeddings: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = loss(embeddings, condition, miner(embeddings, condition))
        return total

    return function


def _check_triplets(embeddings: torch.Tensor, condition: torch.Tensor) -> None:
    """Their triplets, the nearest of each pair, are those of ours within the margin: same hinges, in float64.

    Raises:
        WrongPixels: they are not.
    """
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.miners import TripletMarginMiner

    some = slice(0, 512)
    x, labels = embeddings[some].double(), condition[some]
    distance = LpDistance(normalize_embeddings=False, power=2)
    anchor, positive, negative = TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard", distance=distance)(
        x, labels
    )
    d = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
    nearest = torch.full_like(d, torch.inf).view(-1)
    nearest.scatter_reduce_(0, anchor * len(x) + positive, d[anchor, negative], "amin")
    theirs = (d.view(-1) - nearest + MARGIN)[nearest.isfinite()].sum()
    # Ours adds pairs all of whose negatives are nearer than the positive; they are taken off by hand.
    alike = labels[:, None] == labels
    farthest = torch.where(alike, -torch.inf, d).amax(dim=1, keepdim=True)
    hopeless = alike & ~torch.eye(len(x), dtype=torch.bool) & (farthest <= d)
    ours = vectorised(x, labels) - torch.where(hopeless, d - farthest + MARGIN, 0.0).sum()
    if not torch.isclose(ours, theirs, rtol=1e-9):
        raise WrongPixels(f"pytorch-metric-learning's nearest semi-hard triplets sum to {theirs}, ours to {ours}")
