"""Profiles of wells: normalise, aggregate, retrieve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import wellstream as ws
from framework.errors import ConfigError
from launch import show
from launch.command import add
from launch.options import given, listed

PANEL = "Profiles"
ORDER = 45

Profiles = Annotated[str, typer.Argument(help="profiles: .h5ad, or a CSV whose Metadata_* columns describe the rows")]
Further = Annotated[
    list[str] | None,
    typer.Argument(metavar="key=value", help="any other option, such as steps.0.prior=5, beside --method coral"),
]
More = Annotated[list[str] | None, typer.Argument(metavar="key=value", help="any other option, such as trim=0.2")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    add(app, normalise, panel=PANEL, runs_code=True)
    add(app, aggregate, panel=PANEL)
    add(app, retrieve, panel=PANEL)


@dataclass(frozen=True, kw_only=True)
class ChainOptions:
    """Which methods and which controls. None keeps the value of the config, or the default of ``NormaliseConfig``."""

    by: Annotated[str | None, typer.Option(help="columns that name a group, with commas; default: Metadata_Plate")] = (
        None
    )
    to: Annotated[
        str | None,
        typer.Option(
            help="which rows are controls: a type in Metadata_Control_Type, COLUMN=VALUE,VALUE, or all; default: negcon"
        ),
    ] = None
    method: Annotated[
        list[str] | None,
        typer.Option(help="z, mad, percentile, asinh, whiten, tvn, coral or harmony; repeat for a chain; default: z"),
    ] = None
    config: Annotated[Path | None, typer.Option(help="YAML with the chain and its options")] = None

    def plain(self) -> dict[str, Any]:
        """Return the options that were typed, as ``wellstream.normalise`` takes them."""
        typed = given(self)
        if "by" in typed:
            typed["by"] = listed(typed["by"])
        if "method" in typed:
            typed["steps"] = [{"name": name} for name in typed.pop("method")]
        return typed


def normalise(
    profiles: Profiles,
    further: Further = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write; it also holds the fit")],
    options: ChainOptions,
    apply_from: Annotated[
        Path | None, typer.Option(help="apply the fit that this file holds; each new plate uses its own controls")
    ] = None,
) -> None:
    """Normalise profiles by the controls of each plate. Fits use controls only.

    Example: wellstream normalise wells.h5ad --to Metadata_Compound=DMSO --method z --method asinh --method whiten
    --out normal.h5ad
    Python: wellstream.normalise(profiles, out, steps=["z", "asinh", "whiten"])
    """
    made = ws.normalise(profiles, out, apply_from=apply_from, overrides=further or (), **options.plain())
    show.summary(made)


@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """What becomes one profile; None keeps the default of ``AggregateConfig``."""

    by: Annotated[
        str | None,
        typer.Option(help="columns that name a group, with commas; default: Metadata_Plate,Metadata_Well"),
    ] = None
    how: Annotated[str | None, typer.Option(help="mean, median, trimmed or attention; default: median")] = None
    weights: Annotated[str | None, typer.Option(help="attention: column with the weights; default: attention")] = None

    def plain(self) -> dict[str, Any]:
        """Return the options that were typed, as ``wellstream.aggregate`` takes them."""
        typed = given(self)
        if "by" in typed:
            typed["by"] = listed(typed["by"])
        return typed


def aggregate(
    profiles: Profiles,
    further: More = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write")],
    options: GroupOptions,
) -> None:
    """Make one profile of the cells of each well, or of the wells of each treatment.

    Python: wellstream.aggregate(profiles, out, how="median")
    """
    show.summary(ws.aggregate(profiles, out, overrides=further or (), **options.plain()))


@dataclass(frozen=True, kw_only=True)
class RetrieveOptions:
    """Columns of a retrieval; None keeps the default of ``RetrieveConfig``."""

    treatment: Annotated[
        str | None,
        typer.Option(
            help="columns with equal values in replicates, with commas, the compound first; default: "
            "Metadata_Perturbation"
        ),
    ] = None
    label: Annotated[str | None, typer.Option(help="column with the class, such as Metadata_MOA")] = None
    batch: Annotated[str | None, typer.Option(help="column with the batch, such as Metadata_Batch")] = None
    plate: Annotated[str | None, typer.Option(help="column with the plate; default: Metadata_Plate")] = None
    to: Annotated[
        str | None,
        typer.Option(help="which rows are controls: a type in Metadata_Control_Type, or COLUMN=VALUE; default: negcon"),
    ] = None
    how: Annotated[
        str | None, typer.Option(help="how wells become a profile: mean, median, trimmed; default: median")
    ] = None
    seed: Annotated[int | None, typer.Option(min=0, help="seed of permutations and bootstrap; default: 0")] = None

    def plain(self) -> dict[str, Any]:
        """Return the options that were typed, as ``wellstream.retrieve`` takes them."""
        typed = given(self)
        if "treatment" in typed:
            typed["treatment"] = listed(typed["treatment"])
            if not typed["treatment"]:
                raise ConfigError("--treatment: expected names of columns, such as Metadata_Compound")
        return typed


def retrieve(
    profiles: Profiles,
    further: More = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for evaluation.json and its tables")],
    options: RetrieveOptions,
) -> None:
    """Score profiles: do replicates find each other, does the nearest compound have the same class?

    The scores: mean average precision with permutation p and FDR; NSC and NSB (the nearest profile that is not of the
    same compound, and for NSB not of the same batch either); replicate correlation; batch mixing in the style of scib.

    Example: wellstream retrieve normal.h5ad --treatment Metadata_Compound,Metadata_Concentration --label Metadata_MOA
    --batch Metadata_Batch --to Metadata_Compound=DMSO --out retrieval
    Python: wellstream.retrieve(profiles, out, treatment=[...], label=...)
    """
    show.evaluation(ws.retrieve(profiles, out, overrides=further or (), **options.plain()))
    show.console.print(f"wrote {out}")
