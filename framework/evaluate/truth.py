"""What a simulation knows of its genes, beside what an evaluation found: which can be predicted from images at all.

``wellstream simulate plate`` writes the table, ``truth.parquet``. A gene of class ``strong`` follows the state of the
cells, one of class ``weak`` hardly does, one of class ``independent`` does not: if it is called significant, that is a
false discovery.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from framework.errors import InputError
from framework.evaluate.evaluation import Evaluation
from framework.files.parquet import read_parquet

CLASSES: Mapping[str, str] = {
    "strong": "follow the state of the cells: to be found",
    "weak": "follow it a little: some can be found",
    "independent": "do not follow it: a finding is false",
}
"""Class of a gene -> what it means, the most predictable first."""
_KEYS = ("modality", "stimulation", "gene", "class")
_P = {"wilcoxon": "p_wilcoxon", "mann_whitney": "p_mannwhitney"}


def read_truth(file: Path) -> pd.DataFrame:
    """Return what is true of each gene: ``target`` (``<modality>_<stimulation>``), ``gene``, ``class``.

    Raises:
        InputError: no such table, or one that no simulation has written.
    """
    then = "name the truth.parquet of wellstream simulate plate"
    known = read_parquet(file, _KEYS, error=InputError, what="the truth of a simulation (.parquet)", then=then)
    table = known[["gene", "class"]].astype(str)
    table.insert(0, "target", known["modality"].astype(str) + "_" + known["stimulation"].astype(str))
    strange = sorted(set(table["class"]) - set(CLASSES))
    if strange:
        raise InputError(f"{file}: class '{strange[0]}' of a gene; expected one of {', '.join(CLASSES)}; {then}")
    return table.drop_duplicates(["target", "gene"], ignore_index=True)


def found_of_truth(evaluation: Evaluation, truth: pd.DataFrame, seed: str | None = None) -> pd.DataFrame:
    """Return a row per gene that was tested and is known: ``target``, ``gene``, ``class``, ``significant``.

    Args:
        evaluation: evaluation of predicted genes.
        truth: as ``read_truth`` gives it.
        seed: seed of one split, by the p of which a gene is called; None: as the evaluation says, over all splits.

    Raises:
        InputError: not one gene of the evaluation is in ``truth``.
    """
    genes = evaluation.tables["per_gene"]
    if seed is not None:
        options, splits = evaluation.summary["options"], evaluation.tables["per_split"]
        genes = splits[splits["seed"].astype(str) == seed]
        genes = genes.assign(significant=genes[_P[str(options["test"])]] < float(options["alpha"]))
    joined = genes[["target", "gene", "significant"]].merge(truth, on=["target", "gene"], validate="one_to_one")
    if not len(joined):
        there, known = (table["target"].iloc[0] if len(table) else "none" for table in (genes, truth))
        raise InputError(
            "the truth of the simulation has none of the genes that were evaluated; it has targets such as "
            f"'{known}', the evaluation such as '{there}'; name the truth.parquet of the plate that the omics "
            "tables belong to"
        )
    return joined
