"""Variance-stabilising normalisation: the published likelihood written out, and parameters that are known."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from data_tools.omics import OmicsConfig, VsnProfile, build_targets, fit_vsn, normalise
from data_tools.omics.vsn import negative_log_likelihood
from framework.errors import InputError


def _simulated(
    samples: int, genes: int, *, changed: float = 0.0, sd: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Intensities (S, G) of the model, and its ``a``, ``b``, ``mu``; changed genes are up in the second half."""
    rng = np.random.default_rng(seed)
    a, b, mu = rng.normal(0, 0.5, samples), rng.normal(-7, 0.4, samples), rng.uniform(-1, 6, genes)
    mapped = mu + sd * rng.normal(size=(samples, genes))
    mapped[samples // 2 :, : int(changed * genes)] += 1.5
    return (np.sinh(mapped) - a[:, None]) / np.exp(b)[:, None], a, b, mu


def test_the_map_by_hand() -> None:
    # y + sqrt(y^2 + 1) is 1, 2, 4, 8 for these; strong ones end as log2(y).
    profile = VsnProfile(offsets=np.zeros(1), log_factors=np.zeros(1), mean=np.zeros(5), sd=1.0, level=0.0)
    mapped = profile.apply(np.array([[0, 3 / 4, 15 / 8, 63 / 16, 2.0**20]]))
    np.testing.assert_allclose(mapped, [[-1, 0, 1, 2, 20]], atol=1e-12)
    moved = VsnProfile(
        offsets=np.array([0.0, 3 / 4]), log_factors=np.log([1.0, 3.0]), mean=np.zeros(1), sd=1.0, level=np.log(2)
    )
    # 0.75 + 3 * 0.375 = 15 / 8, as 1 * 15 / 8; a level of log 2 takes one more.
    np.testing.assert_allclose(moved.apply(np.array([[15 / 8], [0.375]])), [[0], [0]], atol=1e-12)


def _density(parameters: np.ndarray, values: np.ndarray) -> float:
    """Log likelihood as Huber et al. 2002 write it: normal in h(y), times the slope of h, found numerically."""
    a, b = (part[:, None] for part in parameters.reshape(2, -1))
    step = 1e-6 * np.maximum(np.abs(values), 1)
    slope = (np.arcsinh(a + np.exp(b) * (values + step)) - np.arcsinh(a + np.exp(b) * (values - step))) / (2 * step)
    mapped = np.arcsinh(a + np.exp(b) * values)
    mean = np.nanmean(mapped, axis=0)
    sd = np.sqrt(np.nanmean((mapped - mean) ** 2))
    return float(np.nansum(stats.norm.logpdf(mapped, mean, sd) + np.log(slope)))


def test_the_likelihood_is_the_published_one() -> None:
    values = np.array([[0.5, 3.0, 40.0, np.nan, 7.0], [1.5, 2.0, 90.0, 4.0, 9.0], [-0.5, 4.0, 55.0, 3.0, np.nan]])
    known = np.isfinite(values)
    for parameters in (np.array([0.1, -0.3, 0.5, 0.2, -0.4, 0.1]), np.array([1.0, 0.0, -2.0, -1.0, 0.6, 0.0])):
        found, gradient = negative_log_likelihood(parameters, np.where(known, values, 9.9), known, None)
        constants = 0.5 * np.log(2 * np.pi) + 0.5
        assert -_density(parameters, values) / known.sum() == pytest.approx(found + constants, rel=1e-8)
        numeric = optimize.approx_fprime(parameters, lambda p: -_density(p, values) / known.sum(), 1e-6)
        np.testing.assert_allclose(gradient, numeric, atol=1e-4)


def test_the_likelihood_against_a_reference() -> None:
    values, mean, sd = np.array([[0.5, 3.0, 40.0]]), np.array([0.4, 1.9, 4.2]), 0.3
    parameters = np.array([0.2, -0.1])
    found, gradient = negative_log_likelihood(parameters, values, np.ones((1, 3), dtype=bool), (mean, sd))
    z = 0.2 + np.exp(-0.1) * values[0]
    expected = stats.norm.logpdf(np.arcsinh(z), mean, sd) - 0.1 - 0.5 * np.log(1 + z**2)
    assert found == pytest.approx(-expected.mean() - np.log(sd) - 0.5 * np.log(2 * np.pi), rel=1e-12)
    args = (values, np.ones((1, 3), dtype=bool), (mean, sd))
    numeric = optimize.approx_fprime(parameters, lambda p: negative_log_likelihood(p, *args)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_the_fit_is_the_maximum_of_the_density() -> None:
    values, *_ = _simulated(2, 60)
    values *= 1e-3  # of order one, so that a search without gradients finds its way
    profile = fit_vsn(values, trimmed=0.0)
    start = np.concatenate([profile.offsets, profile.log_factors])
    best = optimize.minimize(
        lambda p: -_density(p, values), start + 0.05, method="Nelder-Mead", options={"xatol": 1e-6, "maxiter": 4000}
    )
    assert _density(start, values) == pytest.approx(-best.fun, abs=1e-5)
    np.testing.assert_allclose(start, best.x, atol=2e-3)


def test_parameters_that_are_known_are_found() -> None:
    values, a, b, mu = _simulated(6, 1500)
    values[np.random.default_rng(1).random(values.shape) < 0.1] = np.nan
    profile = fit_vsn(values)
    np.testing.assert_allclose(profile.offsets, a, atol=0.12)
    np.testing.assert_allclose(profile.offsets - profile.offsets.mean(), a - a.mean(), atol=0.03)
    np.testing.assert_allclose(profile.log_factors - profile.level, b - b.mean(), atol=0.02)
    assert np.abs(profile.mean - mu).mean() < 0.08
    assert profile.sd == pytest.approx(0.1, rel=0.12)
    # Weak and strong genes scatter alike afterwards; as logarithms the weak ones scatter ten times as much.
    spread = np.nanstd(profile.apply(values), axis=0, ddof=1)
    weak, strong = mu < 0, mu > 4
    assert np.median(spread[weak]) == pytest.approx(np.median(spread[strong]), rel=0.15)
    assert np.median(spread[strong]) == pytest.approx(0.1 / np.log(2), rel=0.15)


def test_changed_genes_are_left_out_of_the_fit() -> None:
    values, _, b, _ = _simulated(6, 1000, changed=0.06)
    relative = b - b.mean()
    robust, plain = (fit_vsn(values, trimmed) for trimmed in (0.1, 0.0))
    errors = [np.abs(fit.log_factors - fit.level - relative).max() for fit in (robust, plain)]
    assert errors[0] < 0.02 < errors[1]
    assert robust.sd == pytest.approx(0.1, rel=0.15)
    assert plain.sd > 0.2


def test_a_fit_is_applied_to_other_genes_and_to_other_samples() -> None:
    values, _, b, _ = _simulated(8, 800)
    first = fit_vsn(values[:6, :600])
    np.testing.assert_allclose(first.apply(values[:6])[:, :600], first.apply(values[:6, :600]))
    reference = fit_vsn(values[:6])
    more = reference.for_samples(values[6:])
    assert (more.sd, more.level) == (reference.sd, reference.level)
    np.testing.assert_array_equal(more.mean, reference.mean)
    np.testing.assert_allclose(more.log_factors - reference.level, b[6:] - b[:6].mean(), atol=0.05)
    shift = more.apply(values[6:]).mean(axis=0) - reference.apply(values[:6]).mean(axis=0)
    assert abs(np.median(shift)) < 0.02
    again = VsnProfile.from_plain(more.plain())
    np.testing.assert_array_equal(again.apply(values[6:]), more.apply(values[6:]))
    with pytest.raises(ValueError, match="8 samples; this profile is of 6"):
        reference.apply(values)
    with pytest.raises(ValueError, match="5 genes; this profile is of 800"):
        reference.for_samples(values[:, :5])


def test_what_cannot_be_fitted_is_refused() -> None:
    values, *_ = _simulated(3, 60)
    with pytest.raises(InputError, match=r"vsn compares samples and found 1; .* 'normalise: median'"):
        fit_vsn(values[:1])
    with pytest.raises(InputError, match=r"sample 1 of 3 has 41 intensities of genes .* vsn needs 42; write 'norm"):
        fit_vsn(values[:, :41])
    values[1, :30] = np.nan
    with pytest.raises(InputError, match="b has 30 intensities of genes that other samples have too"):
        fit_vsn(values, names=["a", "b", "c"])
    with pytest.raises(InputError, match="the samples differ by a factor only"):
        fit_vsn(np.exp(np.linspace(1, 9, 80)) * np.array([[1.0], [2.0], [5.0]]))


def test_intensities_of_a_table_are_normalised_by_vsn(tmp_path: Path) -> None:
    values, *_ = _simulated(8, 100, sd=0.2)
    values = np.where(values > 0, values, 0)
    genes = [f"P{number}" for number in range(100)]
    frame = pd.DataFrame(values, columns=genes)
    frame.insert(0, "Metadata_Perturbation", list("aabbaabb"))
    frame.insert(0, "sample", [f"s{number}" for number in range(8)])
    frame.to_csv(tmp_path / "p.csv", index=False)
    columns = ["bag", *(f"Metadata_{name}" for name in ("Plate", "Well", "Perturbation", "Stimulation"))]
    bags = pd.DataFrame([(0, "P", "A01", "a", "M1"), (1, "P", "A02", "b", "M1")], columns=columns)
    bags = bags.assign(Metadata_Control_Type="treatment")
    plain = {"name": "prot", "table": str(tmp_path / "p.csv"), "kind": "intensities"}
    plain |= {"stimulation": None, "plate": None, "min_share": 0.5}
    (target,) = build_targets(OmicsConfig.from_plain(plain), bags, seed=0)
    target.data.write_h5ad(tmp_path / "t.h5ad")
    kept = anndata.read_h5ad(tmp_path / "t.h5ad")
    assert kept.uns["wellstream"]["scale"] == "log2, as arsinh(a + b x) of vsn"
    profile = VsnProfile.from_plain(kept.uns["wellstream"]["vsn"])
    measured = frame[list(kept.var_names)].to_numpy()
    mapped = profile.apply(np.where(measured > 0, measured, np.nan))
    chosen = frame["sample"].isin(kept.obs["omics_samples"].iloc[0].split(";")).to_numpy()
    np.testing.assert_allclose(kept.X[0], np.nanmean(mapped[chosen], axis=0), rtol=1e-5, atol=1e-5)
    factors = kept.uns["wellstream"]["factors"]
    np.testing.assert_allclose(factors, (profile.level - profile.log_factors) / np.log(2))


def test_a_stronger_sample_has_the_larger_factor() -> None:
    values, *_ = _simulated(4, 100)
    values = np.abs(values) * np.array([[1], [1], [4], [1]])
    plates = np.full(4, "p", dtype=object)
    result = normalise(values, kind="intensities", plate=plates, condition=None, min_share=0.5)
    assert int(np.argmax(result.factors)) == 2
    assert result.vsn is not None
    assert result.factors.mean() == pytest.approx(0, abs=1e-9)


def _table(folder: Path, name: str, values: np.ndarray, stimulation: str = "M1") -> OmicsConfig:
    genes = [f"G{number}" for number in range(values.shape[1])]
    names = [f"{name}{row}" for row in range(len(values))]
    facts = {"sample": names, "Metadata_Perturbation": ["NT", "KO"] * (len(values) // 2)}
    facts |= {"Metadata_Stimulation": stimulation, "Metadata_Plate": "T1"}
    pd.concat([pd.DataFrame(facts, index=range(len(values))), pd.DataFrame(values, columns=genes)], axis=1).to_csv(
        folder / f"{name}.csv", index=False
    )
    return OmicsConfig(name="prot", table=str(folder / f"{name}.csv"), kind="intensities", sample="sample")


def _bags() -> pd.DataFrame:
    facts = {"Metadata_Plate": "P", "Metadata_Well": ["A01", "A02"], "Metadata_Perturbation": ["NT", "KO"]}
    facts |= {"Metadata_Stimulation": "M1", "Metadata_Control_Type": ["negcon", "treatment"]}
    return pd.DataFrame({"bag": [0, 1], **facts}).astype({"bag": np.int32})


def test_further_plates_are_mapped_onto_the_fit_of_a_dataset(tmp_path: Path) -> None:
    values = np.abs(_simulated(8, 300, sd=0.05, seed=3)[0])
    first = build_targets(_table(tmp_path, "first", values[:4]), _bags(), 0)[0]
    (tmp_path / "data" / "targets").mkdir(parents=True)
    kept = tmp_path / "data" / "targets" / "prot_M1.h5ad"
    first.data.write_h5ad(kept)
    config = _table(tmp_path, "second", values[4:] * 50.0)
    profile = VsnProfile.from_plain(first.data.uns["wellstream"]["vsn"])
    expected = profile.for_samples(values[4:] * 50.0)
    for named in (tmp_path / "data", kept):
        second = build_targets(config.model_copy(update={"vsn_from": str(named)}), _bags(), 0)[0]
        np.testing.assert_allclose(second.samples.layers["before"], expected.apply(values[4:] * 50.0), rtol=1e-5)
        own = VsnProfile.from_plain(second.data.uns["wellstream"]["vsn"])
        np.testing.assert_allclose(own.mean, profile.mean)
        np.testing.assert_allclose(own.log_factors, expected.log_factors)
    gap = np.nanmedian(second.samples.X - first.samples.X[: len(second.samples.X)])
    assert abs(gap) < 0.05, "samples fifty times stronger lie on the scale of the first plate"
    alone = build_targets(config, _bags(), 0)[0]
    assert abs(np.nanmedian(alone.samples.X - first.samples.X)) > 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nowhere", r"prot_M1\.h5ad: no such file; name a dataset.*; there are prot_M2\.h5ad"),
        ("no fit", r"prot_M1\.h5ad: holds no vsn fit"),
        ("stimulation", r"was fitted to stimulation 'M2', these samples are of 'M1'"),
        ("genes", r"no gene in common; it has H0, H1, H2 \.\.\., the table G0, G1, G2"),
        ("cut", r"its vsn fit is for other genes than its target has"),
    ],
)
def test_a_fit_that_does_not_fit_is_said(tmp_path: Path, change: str, said: str) -> None:
    values = np.abs(_simulated(4, 100, seed=4)[0])
    config = _table(tmp_path, "first", values)
    made = build_targets(config, _bags(), 0)[0].data
    folder = tmp_path / "data" / "targets"
    folder.mkdir(parents=True)
    if change == "no fit":
        del made.uns["wellstream"]["vsn"]
    if change == "stimulation":
        made.uns["wellstream"]["stimulation"] = "M2"
    if change == "genes":
        made.var_names = [f"H{number}" for number in range(made.n_vars)]
    if change == "cut":
        made = made[:, :90].copy()
    made.write_h5ad(folder / ("prot_M2.h5ad" if change == "nowhere" else "prot_M1.h5ad"))
    with pytest.raises(InputError, match=said):
        build_targets(config.model_copy(update={"vsn_from": str(tmp_path / "data")}), _bags(), 0)


def test_vsn_from_is_for_vsn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'vsn_from' is for 'kind: intensities' with 'normalise: vsn'"):
        OmicsConfig(name="x", table="x.csv", kind="counts", vsn_from="data")
