"""The README's table on BBBC021: what each normalisation retrieves, and how it mixes weeks.

    python -m experiments.bbbc021 --profiles bbbc021-profiles --out bbbc021

Every method alone, chains of several, and the chain of ``chain.yaml``, each fitted on the DMSO wells; a chain fitted on
nine weeks and applied to the tenth, ten times. Minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from experiments.demo.steps import carried_out
from framework.config import load_config
from framework.durable import write_json, write_with
from framework.format import number
from framework.profiles import (
    NormaliseConfig,
    Normalised,
    RetrieveConfig,
    apply_kept,
    batch_scores,
    normalise,
    retrieve,
)
from framework.profiles.table import ProfileTable, open_profiles
from framework.terminal import Terminal

CONFIG = Path(__file__).parent / "chain.yaml"
WELLS = "wells.csv.gz"
RETRIEVAL: Mapping[str, Any] = {
    "treatment": ["Metadata_Compound", "Metadata_Concentration"],
    "label": "Metadata_MOA",
    "batch": "Metadata_Batch",
    "to": "Metadata_MOA=DMSO",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A normalisation of the table.

    Attributes:
        name: of the row.
        steps: methods with their options; None: those of ``chain.yaml``.
        how: how wells become the profile of a treatment.
    """

    name: str
    steps: tuple[Any, ...] | None
    how: str = "median"


def _alone(name: str) -> dict[str, Any]:
    return {"name": name, "prior": 0.0}


ROWS = (
    Row(name="percentile, each plate alone", steps=(_alone("percentile"),)),
    Row(name="z, each plate alone", steps=(_alone("z"),)),
    Row(name="MAD, each plate alone", steps=(_alone("mad"),)),
    Row(name="percentile", steps=("percentile",)),
    Row(name="z", steps=("z",)),
    Row(name="MAD", steps=("mad",)),
    Row(name="z, asinh", steps=("z", "asinh")),
    Row(name="whiten", steps=("whiten",)),
    Row(name="TVN", steps=("tvn",)),
    Row(name="CORAL", steps=("coral",)),
    Row(name="Harmony", steps=("harmony",)),
    Row(name="z, asinh, TVN", steps=("z", "asinh", "tvn")),
    Row(name="MAD, asinh, whiten", steps=("mad", "asinh", "whiten")),
    Row(name="z, asinh 0.5, whiten", steps=("z", {"name": "asinh", "scale": 0.5}, "whiten")),
    Row(name="z, asinh 3, whiten", steps=("z", {"name": "asinh", "scale": 3.0}, "whiten")),
    Row(name="chain.yaml: z, asinh, whiten", steps=None),
    Row(name="chain.yaml, means of wells", steps=None, how="mean"),
)
PLAIN = "percentile, each plate alone"
NEW_WEEKS = "chain.yaml, each week as new plates"


def config_of(row: Row) -> NormaliseConfig:
    """Return the configuration of a row; groups and controls are those of ``chain.yaml``."""
    changes = [] if row.steps is None else [f"steps={json.dumps(list(row.steps))}"]
    return load_config(CONFIG, NormaliseConfig, changes)


def scores(made: anndata.AnnData, how: str = "median") -> dict[str, Any]:
    """Return the scores of normalised wells: name -> value, low, high, n."""
    summary = retrieve(made, load_config({**RETRIEVAL, "how": how}, RetrieveConfig)).summary
    return {
        str(row["score"]): {
            key: None if pd.isna(row[key]) else row[key] for key in ("value", "value_low", "value_high", "n", "chance")
        }
        for row in summary["rows"]
    }


def before(table: ProfileTable) -> Mapping[str, float]:
    """Return the batch scores of the profiles as they come, each feature in units of its spread over all wells."""
    sd = table.values.std(axis=0)
    scaled = np.divide(table.values - table.values.mean(axis=0), sd, out=np.zeros_like(table.values), where=sd > 0)
    classes = table.column(RETRIEVAL["label"])
    return batch_scores(scaled, table.column(RETRIEVAL["batch"]), classes)


def week_by_week(table: anndata.AnnData) -> anndata.AnnData:
    """Return wells of which each week was normalised by a chain that never saw it; its own controls centre it."""
    parts = []
    weeks = table.obs[RETRIEVAL["batch"]].astype(str)
    for week in sorted(set(weeks)):
        new = (weeks == week).to_numpy()
        fit = normalise(table[~new].copy(), config_of(ROWS[-1])).data
        parts.append(apply_kept(table[new].copy(), fit).data)
    return anndata.concat(parts)


def rows_of(file: Path) -> Iterator[dict[str, Any]]:
    """Make every row of the table, one after the other."""
    table = open_profiles(file)
    wells = anndata.AnnData(
        X=table.values,
        obs=table.obs.set_axis(table.obs.index.astype(str)),
        var=pd.DataFrame(index=list(table.features)),
    )
    kept: dict[str, Normalised] = {}
    for row in ROWS:
        key = json.dumps(row.steps)
        if key not in kept:
            kept[key] = normalise(wells, config_of(row))
        made = kept[key]
        yield {
            "name": row.name,
            "steps": [options.plain() for options in config_of(row).steps],
            "how": row.how,
            "chosen": list(made.notes),
            "scores": scores(made.data, row.how),
        }
    yield {
        "name": NEW_WEEKS,
        "steps": [options.plain() for options in config_of(ROWS[-1]).steps],
        "how": "median",
        "chosen": [],
        "scores": scores(week_by_week(wells)),
    }


def flat(found: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per normalisation, one column per score."""
    shown = ("NSC", "NSB", "mAP activity", "mAP distinct", "mAP class", "replicating", "mixing", "kept", "total")
    return pd.DataFrame(
        [
            {
                "normalisation": row["name"],
                **{name: row["scores"][name]["value"] for name in shown},
                **{f"NSC_{end}": row["scores"]["NSC"][f"value_{end}"] for end in ("low", "high")},
                **{f"NSB_{end}": row["scores"]["NSB"][f"value_{end}"] for end in ("low", "high")},
            }
            for row in found["rows"]
        ]
    )


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the table."""
    table = Table("normalisation", "NSC", "NSB", "mAP class", "mAP distinct", "mixing", "kept", "total", box=None)
    for row in found["rows"]:
        values = row["scores"]
        names = ("NSC", "NSB", "mAP class", "mAP distinct", "mixing", "kept", "total")
        table.add_row(row["name"], *(number(values[name]["value"], ".3f") for name in names))
    console.print(table, soft_wrap=True)
    told = found["before"]
    console.print(f"before: mixing {told['mixing']:.3f}, kept {told['kept']:.3f}, total {told['total']:.3f}")


def main() -> int:
    """Make the table, print it, and write ``OUT/bbbc021.json`` and ``OUT/bbbc021.csv``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bbbc021",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profiles", type=Path, required=True, help=f"folder with {WELLS}")
    parser.add_argument("--out", type=Path, default=Path("bbbc021"), help="folder for the results")
    options = parser.parse_args()
    console = Terminal()

    def work() -> None:
        found: dict[str, Any] = {"before": before(open_profiles(options.profiles / WELLS)), "rows": []}
        for row in rows_of(options.profiles / WELLS):
            found["rows"].append(row)
            console.print(f"{row['name']}: NSC {row['scores']['NSC']['value']:.3f}")
        show(console, found)
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "bbbc021.json", found)
        write_with(options.out / "bbbc021.csv", lambda path: flat(found).round(4).to_csv(path, index=False))
        console.print(f"wrote {options.out}")

    return carried_out(console, work)


if __name__ == "__main__":
    raise SystemExit(main())
