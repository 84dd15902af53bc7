"""From the tiles of a bag to one vector: a plain mean, or attention that learns which tiles speak for the bag."""

from __future__ import annotations

import torch
from torch import nn


def mean_over_tiles(embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Average the tiles of each bag.

    Args:
        embedded: (K, N, E).
        weights: (K, N) >= 0, or None when every tile counts 1; a tile of weight 0 has no influence, not even as NaN.

    Returns:
        (K, E); zeros for a bag without any weight.
    """
    if weights is None:
        return embedded.mean(dim=1)
    kept = torch.where(weights[..., None] > 0, embedded, 0.0)
    scaled = weights.to(embedded.dtype)
    total = scaled.sum(dim=1, keepdim=True).clamp_min(torch.finfo(embedded.dtype).tiny)
    return torch.einsum("kne,kn->ke", kept, scaled / total)


class GatedAttention(nn.Module):
    """Weighted mean whose weights a small gated network computes from each tile.

    Source: Ilse, Tomczak and Welling 2018, eq. 7 and 9.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.tanh_gate = nn.Linear(width, hidden)
        self.sigmoid_gate = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1)

    def weights(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the attention on each tile.

        Args:
            embedded: (K, N, E).
            weights: (K, N), 0 for tiles that are padding; others share the bag in proportion to weight x attention.

        Returns:
            (K, N), sums to 1 over N; zeros for a bag without any weight.
        """
        gated = torch.tanh(self.tanh_gate(embedded)) * torch.sigmoid(self.sigmoid_gate(embedded))
        scores = self.score(gated).squeeze(-1)
        if weights is None:
            return torch.softmax(scores, dim=1)
        real = weights > 0
        lowest = torch.finfo(scores.dtype).min
        shifted = scores + weights.clamp_min(torch.finfo(scores.dtype).tiny).log().to(scores.dtype)
        attention = torch.softmax(torch.where(real, shifted, lowest), dim=1)
        return torch.where(real, attention, 0.0)

    def forward(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """(K, N, E) and optional (K, N) -> (K, E)."""
        if weights is not None:
            embedded = torch.where(weights[..., None] > 0, embedded, 0.0)
        return torch.einsum("kne,kn->ke", embedded, self.weights(embedded, weights))
