"""Normalisation methods, chosen by ``name`` in a config: one file per method."""

from framework.profiles.methods.asinh import Asinh, AsinhOptions
from framework.profiles.methods.base import METHODS, Controls, Method, MethodOptions, State, build_method
from framework.profiles.methods.coral import CoralMethod, CoralOptions
from framework.profiles.methods.harmony import HarmonyMethod, HarmonyOptions
from framework.profiles.methods.mad import Mad, MadOptions
from framework.profiles.methods.percentile import Percentile, PercentileOptions
from framework.profiles.methods.tvn import Tvn, TvnOptions
from framework.profiles.methods.whiten import Whiten, WhitenOptions
from framework.profiles.methods.z import Z, ZOptions

__all__ = [
    "METHODS",
    "Asinh",
    "AsinhOptions",
    "Controls",
    "CoralMethod",
    "CoralOptions",
    "HarmonyMethod",
    "HarmonyOptions",
    "Mad",
    "MadOptions",
    "Method",
    "MethodOptions",
    "Percentile",
    "PercentileOptions",
    "State",
    "Tvn",
    "TvnOptions",
    "Whiten",
    "WhitenOptions",
    "Z",
    "ZOptions",
    "build_method",
]
