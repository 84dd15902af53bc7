"""A real plate of transcripts (LINCS L1000, GCT 1.3) becomes labels of imaged wells by four lines of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from data_tools.pipeline import ingest
from framework.data.dataset import Dataset

OMICS = """\
- {name: l1000, table: TABLE, kind: log2, wells_per_label: 2,
   perturbation: pert_iname, stimulation: null, plate: null,
   gene_names: pr_gene_symbol,
   sample: rna_well}
"""
COLUMNS = "Metadata_Well,Metadata_Perturbation,Metadata_Stimulation,Metadata_Control_Type"


@pytest.mark.real_data
def test_the_l1000_plate_labels_wells(real_data: Path, raw: Any, tmp_path: Path) -> None:
    table = real_data / "l1000-a375-plate" / "test_l1000.gct"
    raw.platemap.write_text(
        f"{COLUMNS}\nA01,DMSO,none,negcon\nA02,neratinib,none,treatment\nA10,,none,empty\nB01,CP-724714,none,treatment\n"
        "B02,no such drug,none,treatment\n"
    )
    config = raw.config(omics=yaml.safe_load(OMICS.replace("TABLE", str(table))))
    ingest(config, tmp_path / "dataset", workers=0)
    dataset = Dataset.open(tmp_path / "dataset")
    target = dataset.target("l1000")
    assert target.obs["Metadata_Well"].tolist() == ["A01", "A02", "B01"]
    assert target.shape == (3, 978)
    assert "PSME1" in target.var_names
    # The label of DMSO is the mean of the two wells drawn, whose numbers stand in the file.
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    names, wells = lines[2], next(line for line in lines if line[0] == "rna_well")
    places = [wells.index(well) for well in target.obs["omics_samples"].iloc[0].split(";")]
    row = next(line for line in lines[3:] if line[names.index("pr_gene_symbol")] == "PSME1")
    expected = np.mean([float(row[place]) for place in places])
    assert target[0, "PSME1"].X.item() == pytest.approx(expected, rel=1e-6)
    assert len(places) == 2
    assert any("3 of 60 conditions" in note and "B02" not in note for note in dataset.manifest.notes)
    assert any("conditions have no omics sample: no such drug/none" in note for note in dataset.manifest.notes)
