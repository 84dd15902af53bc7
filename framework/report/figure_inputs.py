"""What figures are drawn from: files that the user names, each read once, whatever number of figures asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION
from framework.errors import InputError
from framework.evaluate import Evaluation, evaluate, read_evaluation
from framework.evaluate.predictions import TEST, Predictions, open_all
from framework.files.failures import is_inside
from framework.files.h5ad import read_h5ad
from framework.report.kept_figures import kept_index
from framework.report.page_inputs import read_embeddings


@dataclass(frozen=True, kw_only=True)
class InputKind:
    """An input of figures.

    Attributes:
        option: how the command line names it.
        what: what it is, and what makes it.
    """

    option: str
    what: str


INPUTS: Mapping[str, InputKind] = {
    "scores": InputKind(
        option="--predictions FILE (or --evaluation FOLDER)",
        what="files of wellstream predict, one per split and target, or folders of them; or the folder of wellstream "
        "evaluate",
    ),
    "predictions": InputKind(
        option="--predictions FILE", what="files of wellstream predict, one per split and target, or folders of them"
    ),
    "locations": InputKind(
        option="--locations FILE", what="subcellular_location.tsv of the Human Protein Atlas (proteinatlas.org)"
    ),
    "pathways": InputKind(
        option="--pathways FILE", what="gene sets (.gmt) such as ReactomePathways.gmt (reactome.org)"
    ),
    "embeddings": InputKind(
        option="--embeddings FILE", what="wells or tiles: wellstream embed RUN --level bag --out FILE.h5ad"
    ),
    "features": InputKind(
        option="--features FILE", what="features of tiles: wellstream features DATASET --out FILE.h5ad"
    ),
    "saliency": InputKind(
        option="--saliency FILE", what="maps of tiles: wellstream saliency RUN --outputs GENE --out FILE.npz"
    ),
    "data": InputKind(option="--data DATASET", what="the dataset of the wells: folder or URL"),
    "corrections": InputKind(
        option="--before FILE --after FILE (or --data DATASET)",
        what="omics per well before and after batch correction (.h5ad, .csv or .tsv); a dataset that was ingested with "
        "omics keeps both",
    ),
    "published": InputKind(
        option="--published FILE", what="scores of genes that others published: CSV or TSV, one row per gene"
    ),
}
"""Name of an input, as figures list it -> what it is."""


@dataclass(frozen=True, kw_only=True)
class FigureInputs:
    """Files as given; what they hold is read when a figure first asks for it. See ``INPUTS``.

    Attributes:
        predictions: files or folders of predictions, or objects in memory.
        evaluation: folder of an evaluation.
        locations, pathways: tables of genes.
        embeddings, features: of wells or tiles.
        saliency: maps of tiles, one file per run.
        data: the dataset.
        before, after: omics of wells.
        published: scores of genes of another study.
    """

    predictions: Sequence[Path | str | anndata.AnnData] = ()
    evaluation: Path | str | None = None
    locations: Path | str | None = None
    pathways: Path | str | None = None
    embeddings: Path | str | None = None
    features: Path | str | None = None
    saliency: Sequence[Path | str] = ()
    data: Path | str | None = None
    before: Path | str | None = None
    after: Path | str | None = None
    published: Path | str | None = None

    def files(self) -> list[object]:
        """Return the files and folders that were given, and objects in memory."""
        given = [getattr(self, each.name) for each in fields(self)]
        return [one for value in given for one in (value if isinstance(value, tuple | list) else [value])]

    def has(self, name: str) -> bool:
        """Return whether an input of ``INPUTS`` was given."""
        if name == "scores":
            return self.has("predictions") or self.evaluation is not None
        if name == "corrections":
            return (self.before is not None and self.after is not None) or bool(self.kept_samples)
        given = getattr(self, name)
        return given is not None and (not isinstance(given, tuple | list) or len(given) > 0)

    @cached_property
    def kept_samples(self) -> dict[str, Path]:
        """Files of omics samples that the dataset keeps, by target; none where no dataset was given."""
        if self.data is None:
            return {}
        dataset = self.dataset
        targets = kept_index(dataset).get("targets", {})
        files = {str(name): facts.get("samples_file") for name, facts in targets.items() if isinstance(facts, Mapping)}
        found = {name: dataset.file(str(file)) for name, file in files.items() if file is not None}
        # A name read from a file must not lead out of the dataset.
        return {name: file for name, file in found.items() if is_inside(file, dataset.root) and file.is_file()}

    @cached_property
    def opened(self) -> list[Predictions]:
        """The prediction files, checked. Raises InputError."""
        return open_all(self.predictions)

    @cached_property
    def scored(self) -> Evaluation:
        """The evaluation of genes: as given, or made of the predictions with the default options.

        Raises:
            InputError: it is of another kind, or the predictions cannot be used.
        """
        if self.evaluation is not None:
            found = read_evaluation(self.evaluation)
        else:
            found = evaluate(self.opened, self.data, kind="omics")
        if found.kind != "omics":
            raise InputError(f"{self.evaluation}: expected an evaluation of kind omics, found '{found.kind}'")
        return found

    @property
    def genes(self) -> pd.DataFrame:
        """One row per (target, gene), with medians over splits; see ``OmicsEvaluation.genes``."""
        return self.scored.tables["per_gene"]

    @property
    def targets(self) -> list[str]:
        """The targets in the order of the evaluation, transcripts before other modalities, as papers show them."""
        return transcripts_first([str(row["target"]) for row in self.scored.summary["rows"]])

    def wells(self, target: str, genes: Sequence[str]) -> pd.DataFrame:
        """Return measured and predicted values of some genes in the test wells of every split.

        Returns:
            Columns ``seed``, ``gene``, source, bag, perturbation, stimulation, ``measured``, ``predicted``; genes that
            the input does not have are not there.
        """
        if self.has("predictions"):
            parts = [part for item in self.opened for part in _values(item, target, genes)]
            return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_WELL_COLUMNS))
        kept = self.scored.tables["per_well"]
        return kept[(kept["target"] == target) & kept["gene"].isin(genes)].reset_index(drop=True)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, opened. Raises DatasetError."""
        if self.data is None:
            raise InputError("no dataset was given; name it with --data")
        return Dataset.open(self.data)

    @cached_property
    def embedded(self) -> anndata.AnnData:
        """The embeddings. Raises InputError."""
        return read_embeddings(Path(str(self.embeddings)))

    @cached_property
    def measured_features(self) -> anndata.AnnData:
        """The features of tiles. Raises InputError."""
        file = Path(str(self.features))
        if not file.is_file():
            raise InputError(f"{file}: no such file; make one with: wellstream features DATASET --out {file.name}")
        return read_h5ad(file, error=InputError, what="features (.h5ad)", then="measure again")


_TRANSCRIPTS = ("transcript", "rna", "mrna", "gene")


def transcripts_first(targets: Iterable[str]) -> list[str]:
    """Return targets in their order, transcripts before other modalities."""
    return sorted(targets, key=lambda name: not name.lower().startswith(_TRANSCRIPTS))


_KEYS = (SOURCE, BAG, PERTURBATION, STIMULATION)
_WELL_COLUMNS = ("seed", "gene", *_KEYS, "measured", "predicted")


def _values(item: Predictions, target: str, genes: Sequence[str]) -> list[pd.DataFrame]:
    """Return the rows of one file, one table per gene."""
    columns = item.targets().get(target)
    if columns is None:
        return []
    names = item.genes()
    place = {names[column]: column for column in columns}
    rows = np.flatnonzero(item.part(TEST))
    keys = item.rows.iloc[rows][[key for key in _KEYS if key in item.rows.columns]].astype(str).reset_index(drop=True)
    parts = []
    for gene in (gene for gene in genes if gene in place):
        part = keys.copy()
        part.insert(0, "gene", gene)
        part.insert(0, "seed", item.split_key)
        part["measured"] = item.measured[rows, place[gene]]
        part["predicted"] = item.predicted[rows, place[gene]]
        parts.append(part)
    return parts
