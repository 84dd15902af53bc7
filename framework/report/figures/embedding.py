"""The map of well embeddings: two dimensions that keep neighbours, coloured by what was done to the wells."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.report.canvas import MARKERS, PALETTE, figure, shortened, styled, uri
from framework.report.page import Picture

Floats = npt.NDArray[np.float64]
NEIGHBOURS = 15
_GREY = "#c4ccd3"


@dataclass(frozen=True, kw_only=True)
class Colouring:
    """One label a point; ``first`` are coloured whatever their number (controls)."""

    labels: pd.Series
    first: tuple[str, ...] = ()


def principal(vectors: npt.ArrayLike, dimensions: int) -> Floats:
    """Return the first principal components of ``vectors`` (n, D) as (n, dimensions); signs are fixed."""
    values = np.asarray(vectors, dtype=np.float64)
    centred = values - values.mean(axis=0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    kept = min(dimensions, len(sizes))
    # SVD leaves the sign open: the heaviest loading of each component is made positive.
    heaviest = np.abs(right[:kept]).argmax(axis=1)
    signs = np.where(right[np.arange(kept), heaviest] < 0, -1.0, 1.0)
    scores = np.zeros((len(values), dimensions))
    scores[:, :kept] = left[:, :kept] * sizes[:kept] * signs
    return scores


def project(
    vectors: npt.ArrayLike,
    method: Literal["auto", "umap", "pca"] = "auto",
    *,
    neighbours: int = NEIGHBOURS,
    min_dist: float = 0.5,
    repulsion: int = 20,
    start: Floats | None = None,
) -> tuple[Floats, str]:
    """Return (n, 2) and the name of the method used.

    UMAP takes 15 neighbours, min_dist 0.5, spread 1 and negative_sample_rate 20 (Image2Omics) unless told otherwise,
    and a fixed seed. ``start`` (n, 2) is where it begins, as ``paga_start`` gives it; None: a spectral layout.
    ``auto`` falls back to principal components without umap-learn or with too few points for that many neighbours.
    """
    values = np.asarray(vectors, dtype=np.float64)
    installed = importlib.util.find_spec("umap") is not None
    if method == "pca" or (method == "auto" and (not installed or len(values) <= neighbours)):
        return principal(values, 2), "PCA"
    import umap

    reducer = umap.UMAP(
        n_neighbors=min(neighbours, len(values) - 1),
        min_dist=min_dist,
        spread=1.0,
        negative_sample_rate=repulsion,
        init="spectral" if start is None else np.asarray(start, dtype=np.float32),
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(values), dtype=np.float64), "UMAP"


@styled
def embedding_map(points: Floats, method: str, colourings: Mapping[str, Colouring]) -> Picture:
    """Draw points (n, 2) once for each colouring: title -> labels."""
    drawn, axes = figure(8.6, 4.4, columns=len(colourings))
    for panel, (title, colouring) in zip(axes[0], colourings.items(), strict=True):
        named = colouring.labels.astype(str).to_numpy()
        colours = label_colours(named, colouring.first)
        for rank, (label, colour) in enumerate(colours):
            chosen = named == label if label is not None else ~np.isin(named, [name for name, _ in colours if name])
            panel.scatter(
                points[chosen, 0],
                points[chosen, 1],
                s=20,
                color=colour,
                marker=MARKERS[rank % len(MARKERS)],
                linewidths=0.3,
                edgecolors="white",
                label=shortened(label if label is not None else "others", 22),
                zorder=2 + rank * 0.01,
            )
        panel.set_title(title)
        panel.set_xlabel(f"{method} 1")
        panel.set_ylabel(f"{method} 2")
        panel.set_xticks([])
        panel.set_yticks([])
        panel.legend(
            frameon=False, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=3, handletextpad=0.2
        )
    shown = (
        "UMAP keeps neighbours, not distances"
        if method == "UMAP"
        else "PCA shows the two directions of largest variance"
    )
    return Picture(
        source=uri(drawn, "svg" if len(points) <= 3000 else "png"),
        alt=f"{method} of {len(points)} well embeddings, coloured by {' and by '.join(colourings)}",
        caption=f"{method} of the well embeddings, one point per well ({shown}). Look for wells of one treatment that "
        f"lie "
        "together across plates; clusters that follow the plate or the well position instead are a batch effect.",
    )


def label_colours(labels: npt.NDArray[np.object_], first: tuple[str, ...]) -> list[tuple[str | None, str]]:
    """Return (label, colour): by name when few, else ``first``, the commonest, and grey for others (None)."""
    counts = pd.Series(labels).value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    names = [*first, *(str(name) for name in counts.index if name not in first)]
    if len(names) <= len(PALETTE):
        rest = sorted(name for name in names if name not in first)
        return [(name, PALETTE[position]) for position, name in enumerate([*first, *rest])]
    return [(None, _GREY), *((name, PALETTE[position]) for position, name in enumerate(names[: len(PALETTE) - 1]))]
