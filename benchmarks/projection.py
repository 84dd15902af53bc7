"""From what one GPU does to what N would do: arithmetic with its assumptions in sight.

A step of N GPUs takes the time of computing its share of the batch and of adding up gradients. Ring all-reduce of B
bytes (Patarasuk and Yuan 2009): every GPU sends and receives 2 (N - 1) / N x B bytes in 2 (N - 1) messages. Of that,
what runs beside backward costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

BACKWARD_SHARE = 2 / 3
"""Of computing; backward has about twice the operations of forward."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What joins the GPUs.

    Attributes:
        per_node: GPUs of a machine.
        inside: bytes per second between GPUs of a machine, in each direction.
        between: bytes per second of a machine to the others, in each direction, shared by its GPUs.
        latency_s: of a message.
    """

    per_node: int = 8
    inside: float = 200e9
    between: float = 25e9
    latency_s: float = 10e-6


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is trained.

    Attributes:
        tiles_per_s: that one GPU trains on, from tiles that lie on it.
        tile_bytes: of a tile as stored.
        gradient_bytes: that a step adds up, 4 per parameter that trains.
        tiles: of a global step.
    """

    tiles_per_s: float
    tile_bytes: int
    gradient_bytes: int
    tiles: int


@dataclass(frozen=True, kw_only=True)
class Projected:
    """A step of ``gpus`` GPUs.

    Attributes:
        gpus: N.
        tiles_per_gpu: of a step.
        compute_s, exchange_s: of a step: computing, and adding up gradients.
        slowest_s, fastest_s: of a step: nothing of the exchange hidden, and all that fits beside backward.
        tiles_per_s: of all GPUs, slowest and fastest.
        read_bytes_per_s: that storage must deliver at the faster rate.
    """

    gpus: int
    tiles_per_gpu: float
    compute_s: float
    exchange_s: float
    slowest_s: float
    fastest_s: float
    tiles_per_s: tuple[float, float]
    read_bytes_per_s: float

    def efficiency(self, work: Work) -> tuple[float, float]:
        """Return the rate over N times that of one GPU, slowest and fastest."""
        whole = self.gpus * work.tiles_per_s
        return self.tiles_per_s[0] / whole, self.tiles_per_s[1] / whole


def exchange_seconds(gradient_bytes: float, gpus: int, cluster: Cluster) -> float:
    """Return the seconds of a ring all-reduce; between machines, the GPUs of each share its connection's one ring."""
    if gpus == 1:
        return 0.0
    rate = cluster.inside if gpus <= cluster.per_node else min(cluster.inside, cluster.between)
    return 2 * (gpus - 1) / gpus * gradient_bytes / rate + 2 * (gpus - 1) * cluster.latency_s


def project(work: Work, gpus: int, cluster: Cluster) -> Projected:
    """Return what a step of N GPUs takes, by the formulas above."""
    compute = work.tiles / gpus / work.tiles_per_s
    exchange = exchange_seconds(work.gradient_bytes, gpus, cluster)
    slowest = compute + exchange
    fastest = compute + max(0.0, exchange - BACKWARD_SHARE * compute)
    return Projected(
        gpus=gpus,
        tiles_per_gpu=work.tiles / gpus,
        compute_s=compute,
        exchange_s=exchange,
        slowest_s=slowest,
        fastest_s=fastest,
        tiles_per_s=(work.tiles / slowest, work.tiles / fastest),
        read_bytes_per_s=work.tiles / fastest * work.tile_bytes,
    )


def rows(work: Work, cluster: Cluster, counts: tuple[int, ...] = (1, 8, 64, 512)) -> list[str]:
    """Return a Markdown table: one row per number of GPUs."""
    found = [
        "| GPUs | tiles per GPU and step | computing | exchange | tiles per s | of N single ones | storage delivers |",
        "|---|---|---|---|---|---|---|",
    ]
    for gpus in counts:
        one = project(work, gpus, cluster)
        low, high = one.efficiency(work)
        slow, fast = one.tiles_per_s
        rate = _range(_rounded(slow), _rounded(fast))
        share = _range(f"{low:.0%}", f"{high:.0%}")
        found.append(
            f"| {gpus} | {_rounded(one.tiles_per_gpu)} | {_rounded(one.compute_s * 1e3)} ms | "
            f"{_rounded(one.exchange_s * 1e3)} ms | "
            f"{rate} | {share} | {one.read_bytes_per_s / 1e9:.3g} GB per s |"
        )
    return found


def _rounded(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _range(low: str, high: str) -> str:
    return high if low == high else f"{low} to {high}"


RESNET18 = Work(tiles_per_s=3000, tile_bytes=3 * 128 * 128 * 2, gradient_bytes=4 * 11_833_024, tiles=2880)
"""Pretraining of Image2Omics: 240 wells of 12 tiles of 3 x 128 x 128 uint16; 3,000 tiles per second are assumed."""
MORE_WELLS = Work(**{**vars(RESNET18), "tiles": 512 * 180})
"""The same network with 180 tiles per GPU at 512 GPUs."""


def page_tables() -> str:
    """Return the tables of docs/scaling.md."""
    parts = []
    for title, work in (
        ("The paper's batch, 2,880 tiles per step, on more and more GPUs", RESNET18),
        (f"A batch of {MORE_WELLS.tiles:,} tiles, which 512 GPUs keep busy", MORE_WELLS),
    ):
        parts += [f"{title}:", "", *rows(work, Cluster()), ""]
    return "\n".join(parts).strip()
