"""Omics that do not fit their plates well: a clear refusal, or a sentence that says how it is handled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, OmicsTable, build_targets, join_notes, read_omics
from framework.errors import InputError

Read = Callable[..., OmicsTable]


def _bags(**changes: Any) -> pd.DataFrame:
    names = ["NT", "a", "b", "c", "NT", "a", "b", "c"]
    frame = pd.DataFrame(
        {
            "bag": np.arange(8, dtype=np.int32),
            "Metadata_Plate": ["P1"] * 4 + ["P2"] * 4,
            "Metadata_Well": ["A01", "A02", "A03", "A04"] * 2,
            "Metadata_Perturbation": names,
            "Metadata_Stimulation": "M1",
            "Metadata_Control_Type": ["negcon" if name == "NT" else "treatment" for name in names],
        }
    )
    return frame.assign(**changes)


def _table(samples: list[tuple[str, str]], genes: int = 6) -> pd.DataFrame:
    counts = np.random.default_rng(0).integers(50, 500, (len(samples), genes))
    frame = pd.DataFrame(counts, columns=[f"g{number}" for number in range(genes)])
    frame.insert(0, "Metadata_Plate", [plate for _, plate in samples])
    frame.insert(0, "Metadata_Perturbation", [name for name, _ in samples])
    frame.insert(0, "sample", [f"s{number}" for number in range(len(samples))])
    return frame


WHOLE = [(name, plate) for plate in ("R1", "R2") for name in ("NT", "a", "b", "c")]


def _logged() -> pd.DataFrame:
    genes = [f"g{number}" for number in range(6)]
    frame = _table(WHOLE)
    return frame.assign(**{gene: np.log2(frame[gene]) for gene in genes})


def _config(file: Path, **keys: Any) -> OmicsConfig:
    return OmicsConfig.from_plain({"name": "rna", "table": str(file), "kind": "counts", "stimulation": None, **keys})


def _built(tmp_path: Path, frame: pd.DataFrame, bags: pd.DataFrame, **keys: Any) -> Any:
    frame.to_csv(tmp_path / "t.csv", index=False)
    (target,) = build_targets(_config(tmp_path / "t.csv", **keys), bags, seed=0)
    return target


def test_nothing_is_said_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert _built(tmp_path, _table(WHOLE), _bags()).notes == ()


def test_a_perturbation_with_one_sample_is_labelled_by_it_and_said(tmp_path: Path) -> None:
    target = _built(tmp_path, _table([pair for pair in WHOLE if pair != ("c", "R2")]), _bags())
    assert target.notes == (
        "target 'rna': 1 conditions have fewer than 2 omics samples, so their labels are of those there are: 'c'",
    )
    labels = target.data.obs.set_index("Metadata_Well")["omics_samples"]
    assert labels.loc["A04"].tolist() == ["s3", "s3"]
    assert all(len(text.split(";")) == 2 for text in labels.loc["A01"])


def test_genes_without_change_are_kept_and_said(tmp_path: Path) -> None:
    frame = _logged()
    frame["flat"] = 7.5
    target = _built(tmp_path, frame, _bags(), kind="log2", plate=None)
    assert target.notes == (
        "target 'rna': 1 genes have one value in all samples, so nothing of them can be predicted: 'flat'",
    ), "log2 values are taken as they are"
    np.testing.assert_allclose(target.data[:, "flat"].X, 7.5)


@pytest.mark.parametrize("plate", [None, "Metadata_Plate"])
def test_a_constant_logarithm_is_said_with_and_without_batches(tmp_path: Path, plate: str | None) -> None:
    frame = _logged().assign(flat=7.3, steady=0.1)
    target = _built(tmp_path, frame, _bags(), kind="log2", plate=plate)
    assert target.notes == (
        "target 'rna': 2 genes have one value in all samples, so nothing of them can be predicted: 'flat', 'steady'",
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "one count in all samples, so their labels change with size factors alone"),
        ({"plate": None}, "one count in all samples, so their labels change with size factors alone"),
        (
            {"kind": "intensities", "normalise": "median"},
            "one intensity in all samples, so their labels change with median alone",
        ),
    ],
)
def test_a_gene_that_is_constant_as_measured_is_kept_counted_and_said(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    frame = _table(WHOLE).assign(flat=40, steady=7)
    target = _built(tmp_path, frame, _bags(), **keys)
    assert target.notes == (f"target 'rna': 2 genes have {said}: 'flat', 'steady'",)
    assert np.ptp(target.data[:, "flat"].X) > 0, "normalisation makes it vary, so only the table shows it"


def test_what_is_not_measured_is_counted(tmp_path: Path) -> None:
    frame = _logged().assign(never=np.nan, nothing=np.nan)
    frame.loc[[1, 3], "g3"] = np.nan
    target = _built(tmp_path, frame, _bags(), kind="log2", plate=None)
    assert target.notes == (
        "target 'rna': 18 of 64 values, of 3 genes, are not measured; they are left out of means",
        "target 'rna': 2 genes are measured in no sample and are dropped: 'never', 'nothing'",
    )
    assert list(target.data.var_names) == [f"g{number}" for number in range(6)]
    assert np.isfinite(target.data.X).all()


def test_an_intensity_of_zero_counts_as_not_measured(tmp_path: Path) -> None:
    frame = _table(WHOLE)
    frame.loc[:2, "g1"] = 0
    target = _built(tmp_path, frame, _bags(), kind="intensities", normalise="median", plate=None)
    assert target.notes == ("target 'rna': 3 of 48 values, of 1 genes, are not measured; they are left out of means",)


def test_a_missing_count_is_refused(tmp_path: Path) -> None:
    frame = _table(WHOLE).astype({"g2": float})
    frame.loc[4, "g2"] = np.nan
    with pytest.raises(InputError, match=r"a missing or infinite count in line 6, gene 'g2'"):
        _built(tmp_path, frame, _bags())


def test_genes_that_are_seen_too_seldom_are_counted(tmp_path: Path) -> None:
    frame = _table(WHOLE).assign(rare=[1] + [0] * 7, off=0)
    target = _built(tmp_path, frame, _bags())
    assert target.notes == (
        "target 'rna': 2 of 8 genes are seen in less than 13% of the samples ('min_share', 'expressed_in: "
        "every_plate') and are dropped: 'rare', 'off'",
    )


def test_a_condition_with_one_imaged_well_has_its_label(tmp_path: Path) -> None:
    target = _built(tmp_path, _table(WHOLE), _bags().drop(index=7))
    assert target.notes == ()
    assert target.data.obs["Metadata_Perturbation"].value_counts()["c"] == 1


def test_controls_missing_on_a_plate_are_said(tmp_path: Path) -> None:
    frame = _table([pair for pair in WHOLE if pair != ("NT", "R2")] + [("NT", "R1")])
    assert "target 'rna': omics plate 'R2' has no negative control ('NT')" in _built(tmp_path, frame, _bags()).notes
    bags = _bags()
    bags.loc[4, ["Metadata_Perturbation", "Metadata_Control_Type"]] = ["a", "treatment"]
    notes = _built(tmp_path, _table(WHOLE), bags).notes
    assert notes == ("target 'rna': imaging plate 'P2' has no negative control ('NT')",)


def test_wells_without_omics_have_no_row_and_are_counted(tmp_path: Path) -> None:
    frame = _table([pair for pair in WHOLE if pair[0] != "b"])
    target = _built(tmp_path, frame, _bags())
    assert target.data.obs["bag"].tolist() == [0, 1, 3, 4, 5, 7]
    config = _config(tmp_path / "t.csv")
    notes = join_notes(config, read_omics(config), _bags())
    assert any("6 of 8 wells have labels, from 6 of 6 samples" in note for note in notes)
    assert any("1 conditions have no omics sample: b/none" in note for note in notes)


def test_a_sample_that_stands_twice_is_refused(tmp_path: Path, read: Read) -> None:
    frame = _table(WHOLE).assign(sample=["A01", "A02", "A03", "A04"] * 2)
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert len(read(tmp_path / "t.csv", stimulation=None).sample) == 8, "wells of two plates have the same names"
    with pytest.raises(InputError, match=r"the sample 'A01' appears twice \(line 2 and line 6\); remove one, or name"):
        read(tmp_path / "t.csv", stimulation=None, plate=None)
    frame.assign(Metadata_Plate="R1").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"the sample 'A01' appears twice on plate 'R1' \(line 2 and line 6\)"):
        read(tmp_path / "t.csv", stimulation=None)


def test_what_was_measured_in_no_sample_of_a_condition_stays_unknown(tmp_path: Path) -> None:
    frame = _logged()
    frame.loc[frame["Metadata_Perturbation"] == "b", "g2"] = np.nan
    frame.loc[1, "g3"] = np.nan
    target = _built(tmp_path, frame, _bags(), kind="log2", plate=None)
    labels = target.data.to_df().assign(well=target.data.obs["Metadata_Well"]).set_index("well")
    assert labels.loc["A03", "g2"].isna().all()
    assert labels.drop(columns="g2").notna().all().all()
    assert labels.loc["A02", "g3"].tolist() == pytest.approx([frame.loc[5, "g3"]] * 2, rel=1e-6)


def test_a_sample_without_any_value_is_named(tmp_path: Path) -> None:
    frame = _table(WHOLE)
    frame.loc[3, [f"g{number}" for number in range(6)]] = 0
    with pytest.raises(InputError, match=r"stimulation 'none': sample 's3' has no count above zero at all; remove it"):
        _built(tmp_path, frame, _bags())


def test_genes_of_one_modality_alone_stay_with_it(tmp_path: Path) -> None:
    rna = _built(tmp_path, _table(WHOLE), _bags())
    protein = _built(tmp_path, _table(WHOLE, 3).rename(columns={"g2": "only"}), _bags())
    assert list(rna.data.var_names) == [f"g{number}" for number in range(6)]
    assert list(protein.data.var_names) == ["g0", "g1", "only"]


def test_omics_of_another_screen_are_refused(tmp_path: Path) -> None:
    frame = _table([(f"other-{name}", plate) for name, plate in WHOLE])
    with pytest.raises(InputError, match=r"not one \(perturbation, stimulation\) in common with the plates"):
        _built(tmp_path, frame, _bags())
