"""What a comparison of features may be told: labels, protocol, classifiers, and what may not be split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from framework.config import StrictModel, UniqueNames

K = Annotated[int, Field(ge=1)]
Classifier = Literal["knn", "logistic", "forest"]


class FeatureEvaluateConfig(StrictModel):
    """Options of ``evaluate_features``; the defaults are those of the paired-cell-inpainting paper (Lu 2019)."""

    label: str
    """Column of the cells that holds the class: a protein, a location, a phase."""
    group: UniqueNames = ()
    """Columns that together name a field (image). The bootstrap resamples fields, ``leave_group_out`` leaves out one,
    ``fold_by: group`` keeps the cells of one together, and distances are measured between them. Default: ``bag`` and
    ``site``, if the cells have them."""
    protocol: Literal["auto", "leave_one_out", "leave_group_out", "train_test"] = "auto"
    """Which cells may be neighbours of a cell. ``leave_one_out``: all other cells, as in the paper; cells of the same
    field are among them and share its focus and light. ``leave_group_out``: only cells of other fields. ``train_test``:
    cells of the part ``train``, for cells of ``test``. ``auto``: ``train_test`` if the cells have both parts, else
    ``leave_one_out``."""
    test_where: tuple[str, ...] = ()
    """``COLUMN=VALUE,VALUE``: these cells are the test part and all others the train part, whatever ``part`` says."""
    k: K = 11
    """Neighbours that vote."""
    ks: tuple[K, ...] = (1, 3, 5, 7, 11, 15, 21, 31)
    """Further numbers of neighbours for the table of accuracies by k."""
    classifiers: tuple[Classifier, ...] = ("knn",)
    """``logistic``: L1, balanced weights; ``forest``: 500 trees, 20 % of the features per split. Both take minutes."""
    folds: int = Field(default=5, ge=2)
    """Folds of ``logistic`` and ``forest`` where there is no test part."""
    fold_by: Literal["cell", "group"] = "cell"
    """``group``: cells of one field are never both learned from and tested on; stricter than the paper."""
    trees: int = Field(default=500, ge=1)
    """Trees of ``forest``."""
    drop_incomplete: bool = False
    """Leave out cells without a label, and classes with fewer than two cells, instead of refusing them."""
    cell_line: str | None = None
    """Column, such as the cell line. Distances between images are measured once with equal and once with different
    values of it."""
    protein: str | None = None
    """Column whose cells are averaged for maps of proteins; two images of one protein are not a pair."""
    pairs: int = Field(default=1_000, ge=10)
    """Pairs of images drawn for each label and each pair of labels."""
    controlled_pairs: int = Field(default=10_000, ge=10)
    """Pairs of images drawn when ``cell_line`` is held equal or different."""
    normalise: Literal["sd", "mean"] = "sd"
    """From the distances of equal labels, the mean over different labels is subtracted; the result is divided by the sd
    (or the mean) over different labels."""
    compartments: tuple[str, ...] = ()
    """``FIRST/SECOND``: two labels. Each cell with one of them, or with both (``FIRST;SECOND``), is scored: to which of
    the two is it nearer?"""
    resamples: int = Field(default=2_000, ge=100)
    """Number of bootstrap samples."""
    seed: int = Field(default=0, ge=0)
    """Seed of bootstrap, folds, forests and drawn pairs."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Name of a feature set that could not be made -> why; it gets a row in the table that says so."""

    @model_validator(mode="after")
    def _check(self) -> FeatureEvaluateConfig:
        for text in self.test_where:
            column, _, values = text.partition("=")
            if not column or not values:
                raise ValueError(f"test_where: expected COLUMN=VALUE,VALUE such as Metadata_Field=4, found '{text}'")
        for text in self.compartments:
            if len([part for part in text.split("/") if part.strip()]) != 2:
                raise ValueError(f"compartments: expected two labels as FIRST/SECOND, found '{text}'")
        if self.test_where and self.protocol not in ("auto", "train_test"):
            raise ValueError(f"test_where names a test part, but the protocol is '{self.protocol}'; use train_test")
        return self
