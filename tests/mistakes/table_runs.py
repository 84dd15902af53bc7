"""Mistakes in training, and with what came of it."""

from __future__ import annotations

from mistakes.mistake import Mistake


def _run(done: str, old: str, new: str, typed: str = "train run.yaml run_dir=new") -> Mistake:
    return Mistake(done=done, typed=typed, changed={"run.yaml": (old, new)})


TRAINING = (
    Mistake(done="A dataset in place of a config", typed="train data"),
    Mistake(done="The config of an ingest", typed="train plate.yaml"),
    _run("A dataset that is not there", "path: data", "path: dta"),
    _run("A typo in a section", "optim:", "optimizer:"),
    _run("An objective that is not there", "triplet_mil", "triplet"),
    _run("A negative number of steps", "steps: 2", "steps: -5"),
    _run("A rate in words", "lr: 1.0e-3", "lr: small"),
    _run("Steps and epochs", "steps: 2", "steps: 2, epochs: 3"),
    _run("A device that is not there", "device: cpu", "device: gpu"),
    _run("A step of one condition", "conditions: 3", "conditions: 1"),
    _run("A GPU that this machine lacks", "device: cpu", "device: cuda"),
    _run("Channels that the dataset lacks", "path: data", "path: data, channels: [Hoechst, Actin]"),
    Mistake(done="Channels and columns that the dataset lacks",
            typed="train run.yaml run_dir=new data.channels='[Hoecst, Mitotracker]' split.by=Metadata_Compound "
            "plan.by='[Metadata_Perturbaton]'"),
    _run("A column that the dataset lacks", "by: Metadata_Perturbation, f", "by: Metadata_Compound, f"),
    _run("Fractions that do not add up", "[0.5, 0.25, 0.25]", "[0.8, 0.2, 0.2]"),
    _run("A control that is not there", "by: Metadata_Perturbation, fractions: [0.5, 0.25, 0.25]",
         "by: Metadata_Perturbation, test: [DMSO]"),
    Mistake(done="A word without a key", typed="train run.yaml 100"),
    Mistake(done="Too many processes", typed="train run.yaml run_dir=new --nproc 64"),
    Mistake(done="No process", typed="train run.yaml run_dir=new --nproc 0"),
    Mistake(done="Going on with another config", typed="train run.yaml optim.lr=0.1"),
    Mistake(done="A network for pretrained heads that is not there",
            typed="train run.yaml run_dir=new "
            "objective='{name: omics_heads, pretrained: runs/pretrain, targets: [rna_M1]}' "
            "plan='{name: bags, bags: 2, tiles: 4}'"),
)  # fmt: skip

RESULTS = (
    Mistake(done="A typo in the command", typed="trian run.yaml"),
    Mistake(done="An option that is not there", typed="embed run --output wells.h5ad"),
    Mistake(done="No file to write", typed="embed run"),
    Mistake(done="A file of another kind", typed="embed run --out wells.csv"),
    Mistake(done="A level that is not there", typed="embed run --level well --out wells.h5ad"),
    Mistake(done="A dataset in place of a run", typed="embed data --out wells.h5ad"),
    Mistake(done="A dataset of other channels", typed="embed run --data other --out wells.h5ad"),
    Mistake(done="Predictions of a run that predicts nothing", typed="predict run --out p.h5ad"),
    Mistake(done="A part that is not there", typed="embed run --part tset --out wells.h5ad"),
    Mistake(done="An evaluation of something else", typed="evaluate transcripts.csv --out scores"),
    Mistake(done="A page of a folder that is not a run", typed="report raw"),
    Mistake(done="A proof of something else", typed="verify raw"),
    Mistake(done="Profiles by a control that is not there", typed="normalise wells.h5ad --to DMSO --out z.h5ad"),
)  # fmt: skip
