"""Train, embed, predict, and prove what was consumed: each is one call."""

from framework.run.apply.embed import embed
from framework.run.apply.export import export
from framework.run.apply.features import features
from framework.run.apply.import_checkpoint import import_checkpoint
from framework.run.apply.inpaint import inpaint
from framework.run.apply.intervals import predict_with_intervals, with_intervals
from framework.run.apply.layers import embed_layers
from framework.run.apply.predict import predict
from framework.run.apply.results import (
    EmbedSummary,
    ExportSummary,
    FeaturesSummary,
    ImportSummary,
    InpaintSummary,
    LayersSummary,
    PredictSummary,
    SaliencySummary,
)
from framework.run.apply.saliency import saliency
from framework.run.heads.config import HeadsConfig, OneHead, each_head, load_heads_config
from framework.run.heads.fit import HeadsSummary, fit_heads
from framework.run.train.config import RunConfig, load_run_config, parse_run_config
from framework.run.train.fit import fit
from framework.run.train.folder import RunFolder
from framework.run.train.opened import Application, OpenedRun, joined
from framework.run.train.pretrained import open_run
from framework.run.train.rehearsal import Rehearsal, rehearse
from framework.run.train.tracked import track
from framework.run.verification.run import verify_run

__all__ = [
    "Application",
    "EmbedSummary",
    "ExportSummary",
    "FeaturesSummary",
    "HeadsConfig",
    "HeadsSummary",
    "ImportSummary",
    "InpaintSummary",
    "LayersSummary",
    "OneHead",
    "OpenedRun",
    "PredictSummary",
    "Rehearsal",
    "RunConfig",
    "RunFolder",
    "SaliencySummary",
    "each_head",
    "embed",
    "embed_layers",
    "export",
    "features",
    "fit",
    "fit_heads",
    "import_checkpoint",
    "inpaint",
    "joined",
    "load_heads_config",
    "load_run_config",
    "open_run",
    "parse_run_config",
    "predict",
    "predict_with_intervals",
    "rehearse",
    "saliency",
    "track",
    "verify_run",
    "with_intervals",
]
