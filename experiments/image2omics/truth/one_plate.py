"""One imaging plate of the simulation of `make truth`, in a folder of its own: the words of its two commands."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def simulate_words(raw: Path, *changes: str) -> list[str]:
    """Return the words that simulate one plate below ``raw``, with changes to simulate.yaml."""
    return ["simulate", "plate", str(raw), "--config", str(_HERE / "simulate.yaml"), "n_plates=1", *changes]


def ingest_words(raw: Path, data: Path) -> list[str]:
    """Return the words that make the dataset ``data`` of it."""
    plate = f"plates=[{{source: {{name: harmony, path: {raw}/TRUTH}}, platemap: {{path: {raw}/platemap.csv}}}}]"
    tables = [f"omics.{row}.table={raw}/omics/{name}.csv.gz" for row, name in enumerate(("transcripts", "proteins"))]
    return ["ingest", str(_HERE / "ingest.yaml"), "--out", str(data), plate, *tables]
