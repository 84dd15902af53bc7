"""What the preparation of a CITE-seq experiment is made of: the YAML behind ``wellstream prepare``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from framework.config import StrictModel, UniqueNames, WithPlugins
from framework.data.format.markers import Gates


class SpeciesFilter(StrictModel):
    """Keep the cells of one species of a mixed experiment, told apart by the prefix of gene names.

    A cell is kept when it has more expressed genes (count above 0) of ``keep`` than of any other prefix (IFC-seq,
    "SCT - human cord blood mononuclear cells"). Genes of other prefixes are dropped, and the prefix is cut off.
    """

    prefixes: dict[str, str] = Field(min_length=2, description="a mapping species: prefix of its genes")
    keep: str
    """The species."""

    @model_validator(mode="after")
    def _check(self) -> SpeciesFilter:
        if self.keep not in self.prefixes:
            raise ValueError(f"'keep' is '{self.keep}'; expected one of 'prefixes': {', '.join(self.prefixes)}")
        return self


class DispersionFilter(StrictModel):
    """Keep variable genes with Scanpy's ``filter_genes_dispersion``; bounds as in IFC-seq.

    ``on`` says what the filter looks at, and so when it runs:

    - ``counts`` (IFC-seq, "SCT - human cord blood mononuclear cells"): before ``min_cells`` and before the logarithm,
      with Scanpy's default ``log=True``, which takes the logarithm of means and dispersions itself.
    - ``log_counts``: after ``min_cells`` and the logarithm, with ``log=False``.
    """

    on: Literal["counts", "log_counts"] = "counts"
    """What the filter looks at."""
    min_mean: float = 0.0125
    """Smallest mean of a gene."""
    max_mean: float = 3.0
    """Largest mean."""
    min_disp: float = -0.15
    """Smallest normalised dispersion."""


class MarkerGenes(StrictModel):
    """The genes that mark each gated population: the ``top`` of Scanpy's ``rank_genes_groups``."""

    top: int = Field(default=100, ge=1)
    """Genes per population."""
    method: Literal["t-test", "t-test_overestim_var", "wilcoxon", "logreg"] = "t-test"
    """Test of Scanpy's ``rank_genes_groups``."""
    include_other: bool = False
    """Whether cells in no gate have marker genes of their own."""


class SingleCellConfig(WithPlugins):
    """A CITE-seq experiment: counts of genes and of surface proteins in the same cells.

    Attributes:
        name: name of the experiment.
        genes: counts: ``.csv``, ``.tsv`` (also ``.gz``; genes x cells, first column gene names), ``.h5ad`` (cells x
            genes), ``.h5mu`` (modalities ``rna`` and ``prot``), or 10x: a folder with ``matrix.mtx.gz``, or a ``.h5``.
            Features that are neither genes nor surface proteins (hashtags of ``Multiplexing Capture``, guides) are left
            out by name.
        proteins: the same for surface proteins; null where ``genes`` says which features are ``Antibody Capture`` (10x;
            ``var["feature_types"]`` of an ``.h5ad``), has a modality ``prot``, or has the proteins in ``obsm``. Where
            both files hold proteins, those of this file are used.
        layer: layer of ``genes`` where it is an ``.h5ad`` or ``.h5mu``: counts to take instead of ``X``; ``raw`` for
            its raw.
        protein_layer: layer of ``proteins``, likewise.
        obsm: entry of an ``.h5ad`` that is a table of proteins, or an array whose names are a list in ``uns``.
        fractional: whether to accept counts that are not whole numbers, such as those of programs that correct counts.
        labels: CSV with one row per cell, joined by the first column. Its other columns are kept with the cells, as
            text.
        markers: proteins to keep, in order; null for all.
        species: see the class; null for one species.
        min_genes: cells with fewer expressed genes than this are dropped.
        min_cells: genes that fewer cells than this express are dropped.
        log: the natural logarithm of 1 + counts.
        normalise_total: scale each cell to this many counts, before the logarithm and a dispersion filter on counts.
            Null: no scaling, as in the paper.
        dispersion: see the class; null to keep all genes.
        clr: whether to store centred log ratios of the proteins too (Stoeckius et al. 2017).
        gates: populations.
        marker_genes: see the class; needs gates.
    """

    name: str = Field(min_length=1)
    genes: str
    proteins: str | None = None
    layer: str | None = None
    protein_layer: str | None = None
    obsm: str = Field(default="markers", min_length=1)
    fractional: bool = False
    labels: str | None = None
    markers: UniqueNames | None = Field(default=None, min_length=1)
    species: SpeciesFilter | None = None
    min_genes: int = Field(default=200, ge=0)
    min_cells: int = Field(default=20, ge=0)
    normalise_total: float | None = Field(default=None, gt=0)
    log: bool = True
    dispersion: DispersionFilter | None = DispersionFilter()
    clr: bool = False
    gates: Gates | None = None
    marker_genes: MarkerGenes = MarkerGenes()

    @model_validator(mode="after")
    def _check(self) -> SingleCellConfig:
        if self.protein_layer is not None and self.proteins is None:
            raise ValueError(
                "'protein_layer' is a layer of the file under 'proteins', which is missing; name that file, or "
                "leave 'protein_layer' out"
            )
        missing = [name for name in (self.gates.markers if self.gates else ()) if name not in (self.markers or (name,))]
        if missing:
            raise ValueError(f"'gates' looks at '{missing[0]}', which 'markers' leaves out")
        if self.dispersion is not None and self.dispersion.on == "log_counts" and not self.log:
            raise ValueError("'dispersion.on' is log_counts; set log: true, dispersion.on: counts or dispersion: null")
        return self
