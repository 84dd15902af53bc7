"""A run folder, dataset, evaluation and embeddings as training leaves them, small and made up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import anndata
import cv2
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.dataset import Dataset
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL
from framework.evaluate import EvaluateConfig, evaluate

HOSTILE = "<script>alert(1)</script>"
CONFIG = """\
run_dir: runs/demo
data: {path: data/tiny, channels: [Hoechst, MitoTracker, Phalloidin], scale: per_tile_standardise}
split: {by: Metadata_Perturbation, fractions: [0.7, 0.1, 0.2], seed: 0}
plan: {name: balanced_bags, by: [Metadata_Perturbation], conditions: 6, bags: 4, tiles: 8}
objective: {name: triplet_mil, margin: 0.2, mining: semi_hard, backbone: {name: small_cnn, dense: [128]}}
optim: {name: adamw, lr: 0.0001, weight_decay: 0.01}
train: {steps: 300, seed: 7, precision: fp32}
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """Paths of everything a report is made from."""

    run: Path
    dataset: Path
    omics: Path
    markers: Path
    embeddings: Path


def make_world(folder: Path, bags: int = 48, genes: int = 60) -> World:
    """Write a whole world below ``folder``."""
    names = ["NT", HOSTILE, *(f"KO{number:02d}" for number in range(1, 11))]
    dataset = make_dataset(
        folder / "tiny",
        bags=bags,
        tiles_per_bag=(12, 9, 14, 11),
        channels=("Hoechst", "MitoTracker", "Phalloidin"),
        size=32,
        perturbations=names,
        markers=("FRA1", "MITF"),
        targets={"transcripts_M1": genes},
    )
    _add_skipped_and_qc(dataset)
    dataset = Dataset.open(dataset.root)
    _write_run(folder / "run", dataset)
    tables = {name: folder / name for name in ("omics", "markers")}
    options = EvaluateConfig(resamples=200)
    sources = [_omics(folder, dataset, seed, genes) for seed in range(3)]
    evaluate(sources, dataset.root, tables["omics"], options)
    evaluate([_markers(folder, dataset)], dataset.root, tables["markers"], options)
    return World(
        run=folder / "run",
        dataset=dataset.root,
        omics=tables["omics"],
        markers=tables["markers"],
        embeddings=_embeddings(folder, dataset),
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small world, shared and never written to."""
    return make_world(tmp_path_factory.mktemp("world"), bags=24, genes=30)


def facts(kind: str, **more: object) -> dict[str, object]:
    """Return ``uns["wellstream"]``."""
    return {
        "kind": kind,
        "objective": "omics_heads",
        "config": "objective: {name: omics_heads}",
        "dataset": "tiny",
        **more,
    }


def _add_skipped_and_qc(dataset: Dataset) -> None:
    file = dataset.root / "dataset.json"
    manifest = json.loads(file.read_text())
    manifest["skipped"] = [
        {"plate": "plate1", "well": "H11", "site": 2, "file": "r08c11f02.tiff", "reason": "truncated_image",
         "detail": "r08c11f02.tiff: 1,024 bytes where 583,200 were expected; copy the file again"},
        {"plate": "plate1", "well": "H12", "site": None, "file": None, "reason": "well_not_in_platemap",
         "detail": f"well H12 has images but no row in the plate map {HOSTILE}"},
    ]  # fmt: skip
    file.write_text(json.dumps(manifest))
    qc = dataset.root / "qc"
    qc.mkdir()
    fields = []
    y, x = np.mgrid[:540, :540] / 270 - 1
    for number, channel in enumerate(dataset.manifest.tile.channels):
        field = 1.2 - (0.2 + 0.05 * number) * (x**2 + (y - 0.1 * number) ** 2)
        np.save(qc / f"flatfield_plate1_{channel}.npy", (field / field.mean()).astype(np.float32))
        fields.append({"file": f"qc/flatfield_plate1_{channel}.npy", "plate": "plate1", "channel": channel})
    nuclei = dataset.nuclei()
    entries = []
    for bag in (0, 1, 5):
        image = np.zeros((256, 256), np.uint8)
        here = nuclei[nuclei["bag"] == bag]
        for row in here.itertuples():
            cv2.circle(image, (int(row.x_px) * 4, int(row.y_px) * 4), 5, 200, -1)
        well = dataset.bags[WELL].iloc[bag]
        name = f"qc/site_plate1_{well}_s1_Hoechst.png"
        cv2.imwrite(str(dataset.root / name), image)
        entries.append(
            {"bag": bag, "plate": "plate1", "well": well, "site": 1, "channel": "Hoechst", "file": name, "scale": 4.0}
        )
    (qc / "index.json").write_text(json.dumps({"overviews": entries, "flatfields": fields}))


def _write_run(folder: Path, dataset: Dataset) -> None:
    (folder / "checkpoints" / "step-00000300").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    rng = np.random.default_rng(0)
    lines = []
    for step in range(0, 300):
        line = {"step": step, "loss": float(0.02 + 0.2 * np.exp(-step / 80) + rng.normal(0, 0.008)), "lr": 1e-4}
        line |= {"tiles_per_s": float(900 + rng.normal(0, 30)), "wait_share": float(abs(rng.normal(0.012, 0.003)))}
        if step % 50 == 49:
            line["val_loss"] = float(0.05 + 0.15 * np.exp(-step / 90) + (0.01 if step > 250 else 0))
        lines.append(json.dumps(line))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    summary = {"steps": 300, "wall_s": 312.4, "wait_share": 0.0121, "world_size": 2, "device": "cpu"}
    summary["versions"] = {"torch": "2.13.0", "wellstream": "0.1.0"}
    (folder / "summary.json").write_text(json.dumps(summary))
    split = dataset.bags[[PLATE, WELL, PERTURBATION]].copy()
    split["part"] = _parts(dataset.bags, 0)
    split.to_csv(folder / "split.csv", index=False)


def _parts(bags: pd.DataFrame, seed: int) -> np.ndarray:
    names = sorted(bags[PERTURBATION].unique())
    order = np.random.default_rng(seed).permutation(len(names))
    part = {names[i]: "test" if rank < len(names) // 3 else "train" for rank, i in enumerate(order)}
    return bags[PERTURBATION].map(part).to_numpy()


def _omics(folder: Path, dataset: Dataset, seed: int, genes: int) -> Path:
    rng = np.random.default_rng(seed)
    bags = dataset.bags.copy()
    bags["part"] = _parts(bags, seed)
    level = bags[PERTURBATION].rank(method="dense").to_numpy()[:, None]
    slope = np.linspace(0, 1, genes) ** 3
    measured = 100 + 6 * slope * level + np.random.default_rng(99).normal(0, 6, (len(bags), genes))
    predicted = 100 + 6 * slope * level + rng.normal(0, 4, (len(bags), genes))
    train = measured[bags["part"] == "train"]
    data = anndata.AnnData(
        X=predicted.astype(np.float32),
        obs=bags.set_index(bags["bag"].astype(str)).drop(columns="bag"),
        var=pd.DataFrame({"train_mean": train.mean(axis=0), "train_sd": train.std(axis=0)},
                         index=[f"GENE{number:04d}" for number in range(genes)]),
        layers={"measured": measured.astype(np.float32)},
        uns={"wellstream": facts("predictions", target="transcripts_M1", split={"by": PERTURBATION, "seed": seed})},
    )  # fmt: skip
    file = folder / f"predictions-{seed}.h5ad"
    data.write_h5ad(file)
    return file


def _markers(folder: Path, dataset: Dataset) -> Path:
    tiles = dataset.tile_table(["bag", "site", "y_px", "x_px"])
    rows = tiles.merge(dataset.bags[["bag", PLATE, WELL, PERTURBATION, STIMULATION]], on="bag")
    rows["tile"] = np.arange(len(rows))
    rows["part"] = np.where(rows["bag"] % 3 == 0, "test", "train")
    measured = dataset.markers(("FRA1", "MITF")).astype(np.float64)
    rng = np.random.default_rng(3)
    predicted = np.nan_to_num(measured) + rng.normal(0, 1.5, measured.shape)
    train = measured[rows["part"] == "train"]
    data = anndata.AnnData(
        X=predicted.astype(np.float32),
        obs=rows.set_index(rows["tile"].astype(str).rename(None)),
        var=pd.DataFrame({"train_mean": np.nanmean(train, axis=0), "train_sd": np.nanstd(train, axis=0)},
                         index=["FRA1", "MITF"]),
        layers={"measured": measured},
        uns={"wellstream": facts("predictions", split={"by": WELL, "seed": 0})},
    )  # fmt: skip
    file = folder / "markers.h5ad"
    data.write_h5ad(file)
    return file


def _embeddings(folder: Path, dataset: Dataset) -> Path:
    rng = np.random.default_rng(5)
    bags = dataset.bags
    centre = rng.normal(0, 1, (bags[PERTURBATION].nunique(), 16))[bags[PERTURBATION].astype("category").cat.codes]
    shift = rng.normal(0, 1.5, (2, 16))[(bags[STIMULATION] == "M2").astype(int)]
    vectors = centre + shift + rng.normal(0, 0.3, (len(bags), 16))
    columns = ["bag", PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE]
    obs = bags[columns].set_index(bags["bag"].astype(str).rename(None))
    data = anndata.AnnData(X=vectors.astype(np.float32), obs=obs, uns={"wellstream": facts("embeddings")})
    file = folder / "embeddings.h5ad"
    data.write_h5ad(file)
    return file
