"""Options of an omics table: where it lies, what its columns are called, how it is normalised."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from data_tools.omics.vsn import TRIMMED
from framework.config import StrictModel, UniqueNames
from framework.data.format.schema import PERTURBATION, PLATE, STIMULATION


class LongForm(StrictModel):
    """Columns of a table with one row per sample and gene."""

    sample: str
    """Column with the sample."""
    gene: str
    """Column with the gene."""
    value: str
    """Column with the value."""


class SampleSheet(StrictModel):
    """A second file that says what each sample is: one row per sample, text or Parquet.

    Attributes:
        path: path of the file.
        sample: column of the file with the names of the samples.
    """

    path: str
    sample: str = "sample"


class SymbolTable(StrictModel):
    """A table that gives ids of genes, as ``ENSG00000000003``, their symbols, as ``TSPAN6``.

    Attributes:
        path: path of the file, text or Parquet.
        id: its column with ids, as the omics table has them.
        symbol: its column with symbols.
        versions: versions of Ensembl ids, as ``.12`` in ``ENSG00000000003.12``: ``drop`` them on both sides (and
            ``_PAR_Y``), or ``keep`` ids as they are.
        unmatched: genes without a symbol ``keep`` their id, or ``drop`` out.
    """

    path: str
    id: str
    symbol: str
    versions: Literal["drop", "keep"] = "drop"
    unmatched: Literal["keep", "drop"] = "keep"


class OmicsConfig(StrictModel):
    """One table of samples x genes; it becomes a target for each stimulation.

    Attributes:
        name: name of the targets: ``<name>_<stimulation>``.
        table: text (CSV, TSV; also packed), GCT, Parquet, AnnData, MuData, 10x ``.h5`` or a 10x folder. Wide text and
            Parquet: one row per sample; ``Metadata_`` columns, those named here and columns of pure text are facts,
            all others genes.
        rows: rows of wide text and Parquet: ``samples`` or ``genes``. Null: samples, unless the sample sheet or a row
            called as ``perturbation`` says that genes stand there; refused where both readings are possible.
        sheet: a second file with the facts of the samples.
        kind: ``counts`` (whole numbers: size factors, log2(x + 1)), ``intensities`` (see ``normalise``; TPM too) or
            ``log2`` (on that scale already: only batch effects are taken out), or ``prepared`` (labels as they are, on
            any scale).
        normalise: intensities: ``vsn`` (the default: an affine map per sample and arsinh, Huber 2002) or ``median``
            (log2, samples centred on their medians).
        trimmed: share of the genes that vsn leaves out of its fit as changed (R's ``1 - lts.quantile``).
        vsn_from: a dataset (its folder, or one of its ``targets/*.h5ad``) whose vsn fit is used for these samples, so
            that further plates can be compared with it. Null: these samples get their own fit.
        long: columns of a table with one row per sample and gene; null for a wide one.
        facts: columns of a wide table that hold numbers but are not genes, such as ``[RIN, n_counts]``. With genes in
            rows: columns that are not samples, such as ``[Length]``. In other files: features that are not genes.
        genes: regular expression that names of genes match, such as ``^ENSG``; all other columns are facts of samples.
            Files that say themselves what their features are: others are left out.
        layer: layer of an AnnData or MuData file, instead of ``X``; ``raw`` for its raw.
        modality: modality of a MuData file, as ``rna`` or ``prot``, or of a 10x matrix, as ``Gene Expression``; null
            where it has one alone.
        gene_names: column of ``var`` (AnnData) or of a table with genes in rows, fact of genes (GCT), ``id`` or
            ``name`` (10x) with the names to use.
        symbols: a table from ids to symbols; the genes of the targets are then named by symbols.
        same_gene: what to do with genes of the same name: ``sum`` counts or intensities, ``keep`` them with their ids
            as names, or ``refuse``. Null: sum for counts whose ids are known, else refuse.
        sample: column that identifies a sample, for the record.
        perturbation, stimulation, plate: columns; ``stimulation: null`` where there is one, ``plate: null`` for no
            batch correction.
        batches: further columns, such as the TMT multiplex, whose effects are removed together with that of the plate
            in one linear model (limma's ``removeBatchEffect`` with ``batch`` and ``batch2``).
        covariates: columns of numbers, such as RIN, whose linear effect is removed in the same model.
        min_share: a gene seen in a smaller share of the samples is dropped (Image2Omics: 50 of 384).
        expressed_in: where a gene must reach that share, among the samples of a stimulation: on ``every_plate``
            (Image2Omics: "in each plate"), on ``any_plate`` (one is enough), or ``pooled`` (all plates together).
        design: what batch correction protects: ``condition`` (the effect of the perturbation) or ``intercept``
            (nothing, as in limma).
        wells_per_label: how many omics samples are averaged for the label of a condition; they are drawn for each
            imaging plate.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    table: str = Field(description="the path of the table")
    kind: Literal["counts", "intensities", "log2", "prepared"] = Field(
        description="counts, intensities, log2 or prepared"
    )
    normalise: Literal["vsn", "median"] | None = None
    trimmed: float = Field(default=TRIMMED, ge=0, le=0.5)
    vsn_from: str | None = Field(default=None, min_length=1)
    rows: Literal["samples", "genes"] | None = None
    sheet: SampleSheet | None = None
    long: LongForm | None = None
    facts: UniqueNames = ()
    genes: str | None = Field(default=None, min_length=1)
    layer: str | None = None
    modality: str | None = None
    gene_names: str | None = None
    symbols: SymbolTable | None = None
    same_gene: Literal["sum", "keep", "refuse"] | None = None
    sample: str | None = None
    perturbation: str = PERTURBATION
    stimulation: str | None = STIMULATION
    plate: str | None = PLATE
    batches: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    min_share: float = Field(default=0.13, ge=0, le=1)
    expressed_in: Literal["every_plate", "any_plate", "pooled"] = "every_plate"
    design: Literal["condition", "intercept"] = "condition"
    wells_per_label: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _check_method(self) -> OmicsConfig:
        if self.normalise is not None and self.kind != "intensities":
            raise ValueError(f"'normalise: {self.normalise}' is for 'kind: intensities'; leave it out")
        if self.vsn_from is not None and (self.kind, self.method) != ("intensities", "vsn"):
            raise ValueError("'vsn_from' is for 'kind: intensities' with 'normalise: vsn'; leave it out")
        if self.same_gene == "sum" and self.kind == "log2":
            raise ValueError(
                "'same_gene: sum' cannot be used with 'kind: log2', because a sum of logarithms has no meaning; "
                "write 'same_gene: keep'"
            )
        return self

    @property
    def method(self) -> Literal["vsn", "median"]:
        """How intensities become comparable."""
        return self.normalise or "vsn"

    @model_validator(mode="after")
    def _check_columns(self) -> OmicsConfig:
        named = [name for name in (self.perturbation, self.stimulation, self.plate) if name is not None]
        if len(set(named)) < len(named):
            raise ValueError("'perturbation', 'stimulation' and 'plate' name the same column; each needs its own")
        for key, more in (("batches", self.batches), ("covariates", self.covariates)):
            twice = [name for place, name in enumerate(more) if name in (*named, *more[:place])]
            if twice:
                raise ValueError(f"'{key}' names '{twice[0]}', which is named already; name each column once")
        if self.rows is not None and self.long is not None:
            raise ValueError("'rows' is for wide tables; leave it out beside 'long'")
        if self.genes is not None:
            if self.facts:
                raise ValueError("'genes' already says which columns are genes; leave 'facts' out")
            try:
                re.compile(self.genes)
            except re.error as error:
                raise ValueError(f"'genes' is not a regular expression: {error}") from None
        return self
