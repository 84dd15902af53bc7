"""Regression trees that minimise the absolute error of thousands of genes at once, exactly, compiled by numba.

The absolute error of a node is a sum over genes of distances to that gene's median. Sliding a split through the sorted
cells of a node adds one cell at a time to one side, and a median then moves by at most one cell. Counts hold few
distinct values, so each gene keeps a histogram over its values and a pointer to the median's bin: a cell whose value
lies in that bin, which for most genes is zero, costs one comparison. scikit-learn finds the same splits with a search
tree a gene (see ``benchmarks``); its leaves also store every gene, where these keep the rows of their cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from framework.compiled import compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@compiled
def _slide(codes: Any, values: Floats, counts: Ints, steps: Floats) -> float:
    """Add to ``steps[i]`` how the summed distance to the median changes when cell i joins; return the sum.

    ``codes`` are positions of the cells in ``values`` (sorted, distinct); ``counts`` is scratch, zero before and after.
    The pointer is the lower median.
    """
    pointer = np.int64(codes[0])
    counts[pointer] = 1
    below, above = 0, 0
    sum_below, sum_above, error = 0.0, 0.0, 0.0
    for i in range(1, len(codes)):
        code = np.int64(codes[i])
        counts[code] += 1
        if code == pointer:
            continue
        if code < pointer:
            below += 1
            sum_below += values[code]
        else:
            above += 1
            sum_above += values[code]
        total = i + 1
        while 2 * (below + counts[pointer]) < total:
            below += counts[pointer]
            sum_below += counts[pointer] * values[pointer]
            pointer += 1
            above -= counts[pointer]
            sum_above -= counts[pointer] * values[pointer]
        while 2 * below >= total:
            above += counts[pointer]
            sum_above += counts[pointer] * values[pointer]
            pointer -= 1
            below -= counts[pointer]
            sum_below -= counts[pointer] * values[pointer]
        now = sum_above - sum_below + (below - above) * values[pointer]
        steps[i] += now - error
        error = now
    if len(codes) < len(values):  # as in most nodes: few cells, and many counts a gene takes elsewhere
        for code in codes:
            counts[code] = 0
    else:
        counts[: len(values)] = 0
    return error


@compiled
def _errors(codes: Any, values: Floats, starts: Ints, genes: Ints, order: Ints, counts: Ints) -> Floats:
    """Return the absolute error of both sides together for each split of ``order``.

    Entry i is the error when the first i cells go left; entry 0 is the error of the undivided node.
    """
    size = len(order)
    # The codes of a cell lie together, those of a gene in this node do so from here on: a node of few cells would
    # otherwise wait for memory at every gene.
    near = np.empty((len(genes), size), dtype=codes.dtype)
    for i in range(size):
        cell = codes[order[i]]
        for place, gene in enumerate(genes):
            near[place, i] = cell[gene]
    left, right = np.zeros(size), np.zeros(size)
    whole = 0.0
    for place, gene in enumerate(genes):
        of_gene = values[starts[gene] : starts[gene + 1]]
        if len(of_gene) > 1:
            whole += _slide(near[place], of_gene, counts, left)
            _slide(near[place, ::-1], of_gene, counts, right)
    result = np.empty(size)
    result[0] = whole
    growing, shrinking = np.cumsum(left), np.cumsum(right)
    for i in range(1, size):
        result[i] = growing[i - 1] + shrinking[size - 1 - i]
    return result


@compiled
def _draw(state: Any, n: int) -> Any:
    """Return a number in 0..n-1 and advance the generator (xorshift64*)."""
    word = state[0]
    word ^= word >> np.uint64(12)
    word ^= word << np.uint64(25)
    word ^= word >> np.uint64(27)
    state[0] = word
    return np.int64((word * np.uint64(2685821657736338717)) >> np.uint64(33)) % n


@compiled
def _choose(total: int, wanted: int, state: Any) -> Ints:
    """Return ``wanted`` of ``range(total)`` without repetition, in drawn order."""
    pool = np.arange(total)
    for i in range(wanted):
        other = i + _draw(state, total - i)
        pool[i], pool[other] = pool[other], pool[i]
    return pool[:wanted]


@compiled
def _best_split(
    codes: Any,
    values: Floats,
    starts: Ints,
    features: Floats,
    rows: Ints,
    tries: int,
    genes_tried: int,
    min_leaf: int,
    state: Any,
    counts: Ints,
) -> Any:
    """Return (feature, cells left, rows ordered by that feature) of the split with the least error; feature -1: leaf.

    As in scikit-learn, features are drawn until ``tries`` of them vary among the cells of the node.
    """
    size, best_feature, best_left, best_error = len(rows), -1, 0, np.inf
    best_order = rows
    varied = 0
    genes = np.arange(len(starts) - 1)
    for feature in _choose(features.shape[1], features.shape[1], state):
        if varied == tries:
            break
        column = features[rows, feature]
        ranks = np.argsort(column, kind="mergesort")
        if column[ranks[0]] == column[ranks[-1]]:
            continue
        varied += 1
        order = rows[ranks]
        if genes_tried < len(genes):
            errors = _errors(codes, values, starts, _choose(len(genes), genes_tried, state), order, counts)
        else:
            errors = _errors(codes, values, starts, genes, order, counts)
            if errors[0] < 1e-9:
                break
        for i in range(min_leaf, size - min_leaf + 1):
            if errors[i] < best_error - 1e-12 and column[ranks[i - 1]] < column[ranks[i]]:
                best_error, best_feature, best_left, best_order = errors[i], feature, i, order
    return best_feature, best_left, best_order


@compiled
def grow(
    codes: Any,
    values: Floats,
    starts: Ints,
    features: Floats,
    rows: Ints,
    tries: int,
    genes_tried: int,
    min_leaf: int,
    max_depth: int,
    seed: Any,
) -> Any:
    """Grow one tree.

    Args:
        codes: (n, G) unsigned, position of each cell's value among the distinct values of its gene.
        values: distinct values of all genes, ascending within a gene.
        starts: int64 (G + 1), where each gene begins in ``values``.
        features: float64 (n, d).
        rows: int64 (m,), the cells of this tree, repeated as the bootstrap drew them; sorted into leaves in place.
        tries: features tried at a node.
        genes_tried: genes whose error chooses a split; G for the exact criterion.
        min_leaf: fewest cells on a side.
        max_depth: deepest node that is divided.
        seed: uint64 above 0.

    Returns:
        Columns of the nodes: feature (-1 in a leaf), threshold (at or below it goes left), left and right child, and
        first and last-plus-one position of the node's cells in ``rows``.
    """
    most = 2 * len(rows)
    feature, threshold = np.full(most, -1), np.zeros(most)
    child, span = np.zeros((most, 2), dtype=np.int64), np.zeros((most, 2), dtype=np.int64)
    depth = np.zeros(most, dtype=np.int64)
    counts = np.zeros(np.max(starts[1:] - starts[:-1]), dtype=np.int64)
    state = np.array([seed], dtype=np.uint64)
    span[0, 1] = len(rows)
    nodes, node = 1, 0
    # Children are numbered after their parents, so walking the numbers visits every node.
    while node < nodes:
        begin, end = span[node]
        if end - begin >= 2 * min_leaf and depth[node] < max_depth:
            part = rows[begin:end].copy()
            chosen, left, order = _best_split(
                codes, values, starts, features, part, tries, genes_tried, min_leaf, state, counts
            )
            if chosen >= 0:
                rows[begin:end] = order
                feature[node] = chosen
                low, high = features[order[left - 1], chosen], features[order[left], chosen]
                middle = low + (high - low) / 2
                threshold[node] = low if middle >= high else middle
                for side in range(2):
                    child[node, side] = nodes
                    depth[nodes] = depth[node] + 1
                    span[nodes, 0] = begin if side == 0 else begin + left
                    span[nodes, 1] = begin + left if side == 0 else end
                    nodes += 1
        node += 1
    return feature[:nodes], threshold[:nodes], child[:nodes], span[:nodes]


@compiled
def leaves(feature: Ints, threshold: Floats, child: Ints, cells: Floats) -> Ints:
    """Return the leaf of each cell, int64 (c,), for features (c, d)."""
    found = np.zeros(len(cells), dtype=np.int64)
    for i in range(len(cells)):
        node = 0
        while feature[node] >= 0:
            node = child[node, 0] if cells[i, feature[node]] <= threshold[node] else child[node, 1]
        found[i] = node
    return found
