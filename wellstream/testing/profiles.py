"""Contract of a normalisation: it learns from controls alone, works on new plates, and can be kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from framework.errors import InputError
from framework.files.h5_writing import write_h5ad
from framework.profiles import METHODS, NormaliseConfig, apply_kept, normalise
from wellstream.testing.entry import EntryContract

_FEATURES = 12


class NormalisationContract(EntryContract):
    """What every entry of ``NORMALISATIONS`` keeps."""

    registry = METHODS

    @pytest.fixture
    def wells(self) -> anndata.AnnData:
        """Three plates of eight controls and four treated wells; feature 3 is the same everywhere."""
        return plates(("p1", "p2", "p3"))

    def config(self, options: Any) -> NormaliseConfig:
        """Return a chain of this method alone."""
        return NormaliseConfig(steps=(options,))

    def test_the_result_is_finite_and_has_the_shape_of_the_wells(self, options: Any, wells: anndata.AnnData) -> None:
        """As many rows and features as went in, the same rows described as before."""
        made = normalise(wells, self.config(options))
        assert made.data.shape == wells.shape
        assert np.isfinite(made.data.X).all()
        assert made.data.obs["Metadata_Well"].tolist() == wells.obs["Metadata_Well"].tolist()

    def test_treated_wells_change_nothing_that_is_learned(self, options: Any, wells: anndata.AnnData) -> None:
        """Other treated wells leave the controls, and the fit, as they were."""
        other = wells.copy()
        treated = (other.obs["Metadata_Control_Type"] == "treatment").to_numpy()
        other.X[treated] = other.X[treated] * 5 + 100
        first, second = (normalise(each, self.config(options)).data for each in (wells, other))
        np.testing.assert_array_equal(first.X[~treated], second.X[~treated])

    def test_the_kept_fit_gives_the_same_again(self, options: Any, wells: anndata.AnnData, tmp_path: Path) -> None:
        """A fit that was written and read is applied to its own wells."""
        made = normalise(wells, self.config(options))
        write_h5ad(tmp_path / "fit.h5ad", made.data)
        again = apply_kept(wells, tmp_path / "fit.h5ad")
        np.testing.assert_array_equal(made.data.X, again.data.X)

    def test_a_new_plate_is_normalised_by_its_own_controls(self, options: Any, wells: anndata.AnnData) -> None:
        """Its other wells have no part in it, and the order of rows has none."""
        fit = normalise(wells, self.config(options)).data
        new = plates(("p9",), seed=5)
        together = apply_kept(new, fit).data
        assert np.isfinite(together.X).all()
        changed = new[::-1].copy()
        changed.X[(changed.obs["Metadata_Control_Type"] == "treatment").to_numpy()] += 7
        controls = (new.obs["Metadata_Control_Type"] == "negcon").to_numpy()
        again = apply_kept(changed, fit).data[::-1]
        np.testing.assert_allclose(together.X[controls], again.X[controls], rtol=1e-5, atol=1e-5)

    def test_a_constant_feature_stays_harmless(self, options: Any, wells: anndata.AnnData) -> None:
        """It is the same number in all controls of a plate."""
        made = normalise(wells, self.config(options)).data
        controls = made[(made.obs["Metadata_Control_Type"] == "negcon").to_numpy()]
        assert np.ptp(controls.X[:8, 3]) == pytest.approx(0, abs=1e-6)

    def test_nan_is_refused_with_its_place_or_dropped(self, options: Any, wells: anndata.AnnData) -> None:
        """One sentence names feature and row."""
        wells.X[2, 5] = np.nan
        with pytest.raises(InputError, match=r"1 values are NaN or infinite.*'f05' of row 'p1-2'.*missing=drop"):
            normalise(wells, self.config(options))
        config = NormaliseConfig(steps=(options,), missing="drop")
        made = normalise(wells, config)
        assert made.data.n_vars == _FEATURES - 1
        assert any("1 features with NaN" in note for note in made.notes)

    def test_a_plate_without_controls_is_named(self, options: Any, wells: anndata.AnnData) -> None:
        """In a fit, and where a fit is applied."""
        fit = normalise(wells, self.config(options)).data
        bare = wells.copy()
        bare.obs.loc[bare.obs["Metadata_Plate"] == "p2", "Metadata_Control_Type"] = "treatment"
        with pytest.raises(InputError, match=r"1 of 3 groups .* have no control row .negcon.: p2"):
            normalise(bare, self.config(options))
        new = plates(("p9", "p10"), seed=5)
        new.obs.loc[new.obs["Metadata_Plate"] == "p9", "Metadata_Control_Type"] = "treatment"
        with pytest.raises(InputError, match="group 'p9' was not part of the fit and has no control row"):
            apply_kept(new, fit)

    def test_one_control_gives_finite_numbers_or_a_sentence(self, options: Any, wells: anndata.AnnData) -> None:
        """On one plate, and then on all of them."""
        once, everywhere = one_control(wells, ("p2",)), one_control(wells, ("p1", "p2", "p3"))
        assert self.ends_well(once, options, "group 'p2': 1 control row")
        assert self.ends_well(everywhere, options, "expected two or more")

    def ends_well(self, wells: anndata.AnnData, options: Any, sentence: str) -> bool:
        """Return whether all numbers are finite, or what is raised says the sentence."""
        try:
            return bool(np.isfinite(normalise(wells, self.config(options)).data.X).all())
        except InputError as error:
            return sentence in str(error)


def plates(names: tuple[str, ...], seed: int = 0) -> anndata.AnnData:
    """Return profiles of plates, each with an offset of its own: eight controls and four treated wells."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(_FEATURES, _FEATURES))
    parts: list[npt.NDArray[np.float64]] = []
    rows: list[dict[str, str]] = []
    for name in names:
        noise = random.normal(size=(12, _FEATURES)) @ mixing
        noise[8:] += 4 * random.normal(size=_FEATURES)
        parts.append(noise + 10 * random.normal(size=_FEATURES))
        kinds = ["negcon"] * 8 + ["treatment"] * 4
        rows += [
            {"Metadata_Plate": name, "Metadata_Well": f"A{well + 1:02d}", "Metadata_Control_Type": kind}
            for well, kind in enumerate(kinds)
        ]
    values = np.concatenate(parts)
    values[:, 3] = 2.5
    obs = pd.DataFrame(rows, index=[f"{row['Metadata_Plate']}-{place % 12}" for place, row in enumerate(rows)])
    return anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(index=[f"f{each:02d}" for each in range(_FEATURES)]))


def one_control(wells: anndata.AnnData, names: tuple[str, ...]) -> anndata.AnnData:
    """Return wells in which some plates have one control."""
    first = wells.obs["Metadata_Well"] == "A01"
    here = wells.obs["Metadata_Plate"].isin(names)
    kept = ~here | (wells.obs["Metadata_Control_Type"] != "negcon") | first
    return wells[kept.to_numpy()].copy()
