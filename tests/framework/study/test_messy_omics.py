"""``wellstream study`` on a plate whose omics are as they come: what is refused, with which words, and what goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import tifffile
from fixtures.study_world import HEADS, INGEST, STUDY, World
from fixtures.tiny_dataset import resealed

from framework.data.dataset import Dataset
from framework.evaluate import read_evaluation
from framework.study import carry_out
from launch import entry

NAMES = ("NT", "a", "b", "c", "d", "e", "LONE", "unseen")
PATTERN = r"(?P<well>[A-Z]\d+)_(?P<channel>A)\.tif"
GENES = ["G0", "G1", "G2", "G3"]
Command = Callable[..., int]


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Two imaging plates, two omics tables; the command, its steps without a process each.

    Every condition but ``unseen`` has a sample on both omics plates, ``LONE`` on one; the second omics plate has no
    control. Of ``rna``, ``flat`` is the same in all samples, and G1 was not measured for ``b``, nor G2 in one sample.
    """
    lines = ["Metadata_Well,Metadata_Perturbation,Metadata_Stimulation,Metadata_Control_Type"]
    wells = [f"A{column:02d}" for column in range(1, len(NAMES) + 1)]
    lines += [
        f"{well},{name},M1,{'negcon' if name == 'NT' else 'treatment'}" for well, name in zip(wells, NAMES, strict=True)
    ]
    (world.folder / "map.csv").write_text("\n".join(lines) + "\n")
    for plate in ("P1", "P2"):
        draw_plate(world.folder / plate, wells)
    source = {"name": "filenames", "pattern": PATTERN, "pixel_size_um": 1.0, "site": 1}
    plates = [
        {"source": source | {"path": plate, "plate": plate}, "platemap": {"path": "map.csv"}} for plate in ("P1", "P2")
    ]
    common = {"kind": "log2", "sample": "sample", "plate": "Metadata_Plate"}
    omics = [{"name": name, "table": f"{name}.csv"} | common for name in ("rna", "prot")]
    world.write("ingest.yaml", INGEST | {"plates": plates, "illumination": {"method": "none"}, "omics": omics})
    pairs = [(name, plate) for plate in ("R1", "R2") for name in NAMES[:-1] if (name, plate) != ("LONE", "R2")]
    table([pair for pair in pairs if pair != ("NT", "R2")], [*GENES, "flat"]).to_csv("rna.csv", index=False)
    table(pairs, [*GENES[:2], "only_here"]).to_csv("prot.csv", index=False)
    study = STUDY | {
        "predict": {"tiles": 2, "seeds": 1},
        "heads_together": True,
    }
    heads = {"objective": {"name": "omics_heads", "targets": ["rna_M1", "prot_M1"], "pretrained": "x"}}
    world.write("study.yaml", study | {"split_seeds": [0]})
    world.write("heads.yaml", HEADS | heads)
    monkeypatch.setitem(carry_out.__kwdefaults__, "run", in_this_process)
    return lambda *words: in_this_process(["study", "study.yaml", *words])


def in_this_process(words: Sequence[str]) -> int:
    quick = ["--workers", "0"] if words[0] == "ingest" else []  # no processes of Dask
    with patch.dict(os.environ):  # the command sets variables for its processes
        return entry._carried_out([*words, *quick])


def draw_plate(folder: Path, wells: Sequence[str]) -> None:
    folder.mkdir()
    random, (rows, columns) = np.random.default_rng(0), np.ogrid[:64, :64]
    for well in wells:
        field = random.normal(200, 5, (64, 64))
        for y, x in ((18, 18), (18, 46), (46, 18), (46, 46)):
            field[(rows - y) ** 2 + (columns - x) ** 2 <= 16] += 2000
        tifffile.imwrite(folder / f"{well}_A.tif", field.astype(np.uint16))


def table(pairs: Sequence[tuple[str, str]], genes: list[str]) -> pd.DataFrame:
    values = np.random.default_rng(1).normal(8.0, 1.0, (len(pairs), len(genes)))
    frame = pd.DataFrame(values, columns=genes)
    frame.insert(0, "Metadata_Stimulation", "M1")
    frame.insert(0, "Metadata_Plate", [plate for _, plate in pairs])
    frame.insert(0, "Metadata_Perturbation", [name for name, _ in pairs])
    frame.insert(0, "sample", [f"s{number}" for number in range(len(pairs))])
    if "flat" in genes:
        frame["flat"] = 7.5
        frame.loc[frame["Metadata_Perturbation"] == "b", "G1"] = np.nan
        frame.loc[1, "G2"] = np.nan
    return frame


def test_what_is_missing_is_said_and_the_rest_is_learned_and_scored(command: Command) -> None:
    assert command("--until", "evaluate") == 0
    (folder,) = [file.parent for file in Path("made").rglob("dataset.json")]
    dataset = Dataset.open(folder)
    said = "\n".join(dataset.manifest.notes)
    assert "target 'rna_M1': omics plate 'R2' has no negative control ('NT')" in said
    assert "target 'rna_M1': 1 genes have one value in all samples" in said
    assert "'LONE'" in said
    assert "1 conditions have no omics sample: unseen/M1" in said
    rna, prot = dataset.target("rna_M1"), dataset.target("prot_M1")
    assert (len(rna), len(prot)) == (14, 14), "the two wells of a condition without omics have no label"
    assert ("only_here" in rna.var_names, "only_here" in prot.var_names) == (False, True)
    scores = read_evaluation("made/evaluation").tables["per_gene"].set_index(["target", "gene"])
    assert np.isnan(scores.loc[("rna_M1", "flat"), "r2"])
    assert np.isfinite(scores.loc[("rna_M1", "G1"), "smape"])
    assert ("prot_M1", "only_here") in scores.index


def test_a_sample_that_stands_twice_ends_the_study(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv("rna.csv")
    pd.concat([frame, frame[:1]]).to_csv("rna.csv", index=False)
    assert command() != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "rna.csv: line 2 and line 14 have equal values in all columns, so one sample would count twice" in said
    assert "step 'ingest' ended with exit code 2; repair what its message says and run the same command again" in said
    pd.concat([frame, frame[:1].assign(G0=1.0)]).to_csv("rna.csv", index=False)
    assert command() != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the sample 's0' appears twice on plate 'R1' (line 2 and line 14); remove one" in said


def test_omics_of_another_screen_end_the_study(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv("prot.csv")
    frame.assign(Metadata_Perturbation="other-" + frame["Metadata_Perturbation"]).to_csv("prot.csv", index=False)
    assert command() != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "not one (perturbation, stimulation) in common with the plates" in said


def test_a_target_of_another_plate_ends_the_study(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--until", "ingest") == 0
    (file,) = Path("made").rglob("targets/rna_M1.h5ad")
    foreign = Dataset.open(file.parents[1]).target("rna_M1")
    foreign.obs["Metadata_Plate"] = "ANOTHER"
    foreign.write_h5ad(file)
    resealed(file.parents[1])
    capsys.readouterr()
    assert command() != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "rna_M1.h5ad" in said
    assert "ANOTHER" in said
