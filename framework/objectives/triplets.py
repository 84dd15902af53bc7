"""Sums of the triplet loss without loops over anchor-positive pairs: mining of negatives, hinge, sum and count.

Rows are bags. Anchors are the rows of one rank, candidates the rows of all ranks, so the sums of all ranks add up to
the sum one process would get. Memory is proportional to K x M for K anchors and M candidates, never to K x M x M.

On a CPU the pairs are put into a list, because most of the K x M entries are not pairs and then cost nothing. On a GPU
all entries are computed and masked: the length of the list depends on values, and reading them would make the processor
wait for the GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

Mining: TypeAlias = Literal["semi_hard", "hard", "all"]


LISTING: frozenset[str] = frozenset({"cpu"})
"""Types of devices on which pairs are listed."""


@dataclass(frozen=True, kw_only=True)
class RowFacts:
    """What decides who may pair with whom; int64 (K,) each.

    Attributes:
        condition: rows of equal condition are positives of each other.
        bag: row of bags.parquet.
        sample: digest of which tiles the row shows; a row and its exact copy share bag and sample.
        counted: 1, or 0 for a padding row, which is neither anchor nor positive nor negative.
    """

    condition: torch.Tensor
    bag: torch.Tensor
    sample: torch.Tensor
    counted: torch.Tensor

    def packed(self) -> torch.Tensor:
        """Return (K, 4), so that one gather carries all."""
        return torch.stack([self.condition, self.bag, self.sample, self.counted], dim=1)

    @classmethod
    def unpacked(cls, packed: torch.Tensor) -> RowFacts:
        """Return the facts that ``packed`` made a tensor (K, columns) of."""
        condition, bag, sample, counted = packed.unbind(dim=1)
        return cls(condition=condition, bag=bag, sample=sample, counted=counted)


@dataclass(frozen=True, kw_only=True)
class TripletSums:
    """0-d tensors; ``total`` carries the gradient, ``pairs`` and ``active`` count triplets.

    Attributes:
        total: sum of max(0, d_ap - d_an + margin).
        pairs: mined triplets: one for each anchor-positive pair, or every (a, p, n) when mining ``all``.
        active: those with a loss above 0.
        d_ap: sum of squared anchor-positive distances over the triplets.
        d_an: sum of squared anchor-negative distances.
    """

    total: torch.Tensor
    pairs: torch.Tensor
    active: torch.Tensor
    d_ap: torch.Tensor
    d_an: torch.Tensor


def sample_digest(tile_ids: torch.Tensor) -> torch.Tensor:
    """(K, N) int64 tile ids -> (K,) int64, equal for rows that show the same tiles in any order.

    A sum of mixed ids (the finaliser of splitmix64 on wrapping integers); two different sets collide by chance only.
    """
    mixed = (tile_ids.to(torch.int64) + 1) * -7046029254386353131
    for shift, multiplier in ((30, -4658895280553007687), (27, -7723592293110705685), (31, 1)):
        # torch shifts signed integers with their sign; the mask makes it a logical shift.
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * multiplier
    return mixed.sum(dim=1)


def triplet_sums(
    anchors: torch.Tensor,
    mine: RowFacts,
    candidates: torch.Tensor,
    theirs: RowFacts,
    *,
    margin: float,
    mining: Mining,
    same_bag_positives: bool,
) -> TripletSums:
    """Mine triplets and sum their losses.

    Args:
        anchors: (K, D) embeddings of this rank's rows.
        mine: their facts.
        candidates: (M, D) embeddings of all rows, the anchors among them.
        theirs: their facts.
        margin: in units of squared distance.
        mining: see ``TripletMILConfig``.
        same_bag_positives: whether another row of the same bag, with other tiles, is a positive.

    Returns:
        Sums over the triplets of these anchors; 0 with a gradient of 0 when there are none.
    """
    counted = theirs.counted > 0
    valid = (mine.counted > 0)[:, None] & counted
    alike = mine.condition[:, None] == theirs.condition
    same_bag = mine.bag[:, None] == theirs.bag
    itself = same_bag & (mine.sample[:, None] == theirs.sample)
    positive = valid & alike & ~(itself if same_bag_positives else same_bag)
    negative = valid & ~alike
    positive &= negative.any(dim=1, keepdim=True)
    # Padding rows are zeroed, not only masked: 0 x NaN would reach the gradient.
    distances = squared_distances(
        torch.where(mine.counted[:, None] > 0, anchors, 0.0), torch.where(counted[:, None], candidates, 0.0), counted
    )
    if mining == "all":
        return _every_negative(distances, positive, negative, margin)
    if distances.device.type in LISTING:
        return _one_negative_listed(distances, positive, negative, margin, mining)
    return _one_negative_masked(distances, positive, negative, margin, mining)


def squared_distances(a: torch.Tensor, b: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Return (K, M) squared L2 distances between rows of ``a`` (K, D) and ``b`` (M, D).

    Both are first moved by the mean of the ``counted`` rows of ``b``: distances stay, and |a|^2 + |b|^2 - 2ab loses no
    digits to an offset all embeddings share.
    """
    centre = (b.detach() * counted[:, None]).sum(dim=0) / counted.sum().clamp_min(1)
    a, b = a - centre, b - centre
    return (a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * (a @ b.T)).clamp_min(0)


def _one_negative_masked(
    distances: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, margin: float, mining: Mining
) -> TripletSums:
    """Sum over all entries of the matrix, those that are not a pair as 0; no shape depends on a value."""
    rows, width = distances.shape
    with torch.no_grad():
        masked = torch.where(negative, distances, torch.inf)
        if mining == "hard":
            chosen = masked.argmin(dim=1, keepdim=True).expand(rows, width)
        else:
            ordered, order = _sorted_rows(masked)
            beyond = torch.searchsorted(ordered, distances, right=True)
            last = (negative.sum(dim=1, keepdim=True) - 1).clamp_min(0)
            chosen = order.gather(1, torch.minimum(beyond, last))
    # Flattened, because a gather from one dimension has a gradient that repeats bit for bit.
    places = torch.arange(rows, device=distances.device)[:, None] * width + chosen
    d_an = distances.reshape(-1).gather(0, places.reshape(-1)).view(rows, width)
    hinge = torch.where(positive, (distances - d_an + margin).clamp_min(0), 0.0)
    return TripletSums(
        total=hinge.sum(),
        pairs=positive.sum(),
        active=(hinge.detach() > 0).sum(),
        d_ap=torch.where(positive, distances.detach(), 0.0).sum(),
        d_an=torch.where(positive, d_an.detach(), 0.0).sum(),
    )


def _one_negative_listed(
    distances: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, margin: float, mining: Mining
) -> TripletSums:
    """Sum over anchor-positive pairs as a list: most of the K x M entries are not a pair, and cost nothing here."""
    anchor, other = positive.nonzero(as_tuple=True)
    width = distances.shape[1]
    with torch.no_grad():
        masked = torch.where(negative, distances, torch.inf)
        if mining == "hard":
            chosen = masked.argmin(dim=1)[anchor]
        else:
            chosen = _nearest_beyond(masked, negative.sum(dim=1), distances[anchor, other], anchor)
    # One gather from the flattened matrix: its gradient is one scatter, without sorting two columns of indices.
    flat = distances.reshape(-1)
    d_ap, d_an = flat.gather(0, anchor * width + other), flat.gather(0, anchor * width + chosen)
    hinge = (d_ap - d_an + margin).clamp_min(0)
    return TripletSums(
        total=hinge.sum(),
        pairs=positive.sum(),
        active=(hinge.detach() > 0).sum(),
        d_ap=d_ap.detach().sum(),
        d_an=d_an.detach().sum(),
    )


def _nearest_beyond(
    masked: torch.Tensor, negatives: torch.Tensor, d_ap: torch.Tensor, anchor: torch.Tensor
) -> torch.Tensor:
    """Return the column of each pair's semi-hard negative.

    Args:
        masked: (K, M) distances, infinite where there is no negative.
        negatives: (K,), how many there are.
        d_ap: (P,) distances of the pairs, sorted by anchor.
        anchor: (P,) their rows.

    Returns:
        (P,): the nearest negative farther than the positive, or the farthest one where none is.
    """
    ordered, order = _sorted_rows(masked)
    pairs = torch.bincount(anchor, minlength=len(masked))
    slot = torch.arange(len(anchor), device=anchor.device) - (pairs.cumsum(0) - pairs)[anchor]
    # Pairs lie left-aligned in a matrix as wide as the largest number of positives, for one search per row.
    wanted = masked.new_full((len(masked), int(pairs.max()) if len(pairs) else 0), torch.inf)
    wanted[anchor, slot] = d_ap
    rank = torch.searchsorted(ordered, wanted, right=True)[anchor, slot]
    return order[anchor, torch.minimum(rank, negatives[anchor] - 1)]


def _sorted_rows(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort each row of (K, M) numbers >= 0; equal ones keep their order, so a tie is broken alike at any world size.

    float32 >= 0 order as their bits do. Bits and column in one int64 make all keys differ, so that NumPy's vectorised
    sort, three times as fast on a CPU as one that carries indices along, is stable too.
    """
    if values.dtype != torch.float32 or values.is_cuda:
        found = values.sort(dim=1, stable=True)
        return found.values, found.indices
    # Adding 0 turns -0.0, whose bits sort last, into 0.0.
    bits = (values + 0.0).view(torch.int32).to(torch.int64)
    keys = (bits << 32).add_(torch.arange(values.shape[1])).numpy()
    keys.sort(axis=1)
    ordered = torch.from_numpy(keys)
    return (ordered >> 32).to(torch.int32).view(torch.float32), ordered & 0xFFFFFFFF


def _every_negative(
    distances: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, margin: float
) -> TripletSums:
    """Sum over all negatives nearer than d_ap + margin.

    Each positive counts with the number of its negatives, each negative with the number of its positives. Sums from the
    left would say the same, but CUDA does not repeat them bit for bit, and refuses where that is asked.
    """
    kept = distances.detach()
    reach = kept + margin
    negatives_of = torch.searchsorted(_sorted_rows(torch.where(negative, kept, torch.inf))[0], reach)
    negatives_of = torch.minimum(negatives_of, negative.sum(dim=1, keepdim=True))
    near = torch.where(positive, negatives_of, 0)
    farther = torch.where(positive, reach, -torch.inf).sort(dim=1).values
    positives_of = reach.shape[1] - torch.searchsorted(farther, kept, right=True)
    far = torch.where(negative, positives_of, 0)
    hinge = near * (distances + margin) - far * distances
    positives, negatives = positive.sum(dim=1), negative.sum(dim=1)
    return TripletSums(
        total=hinge.sum(),
        pairs=(positives * negatives).sum(),
        active=near.sum(),
        d_ap=(torch.where(positive, kept, 0.0).sum(dim=1) * negatives).sum(),
        d_an=(torch.where(negative, kept, 0.0).sum(dim=1) * positives).sum(),
    )
