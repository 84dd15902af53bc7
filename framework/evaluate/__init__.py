"""Scores: prediction files of a run go in, tables with errors, tests and intervals come out."""

from framework.evaluate.alignment import (
    CanonicalCorrelations,
    Coral,
    align_groups,
    batch_in_components,
    canonical_correlations,
)
from framework.evaluate.beside import baseline_table, beside_baselines, targets_beside_baselines
from framework.evaluate.config import EvaluateConfig
from framework.evaluate.embeddings import AlignSummary, CorrelateSummary, align, correlate
from framework.evaluate.evaluation import (
    Evaluation,
    read_evaluation,
    render,
    render_baselines,
    write_evaluation,
)
from framework.evaluate.kind_markers import MarkersKind
from framework.evaluate.kind_omics import OmicsKind, headline_share
from framework.evaluate.kinds import (
    EVALUATIONS,
    EvaluationKind,
    Scored,
    ScoresPredictions,
    ScoreTable,
    Verdict,
    against_baseline,
    evaluation_kind,
)
from framework.evaluate.markers import MarkerEvaluation, evaluate_markers, linear_baseline, tile_mean_intensities
from framework.evaluate.omics import OmicsEvaluation, evaluate_omics, rank_genes, rankable
from framework.evaluate.over_splits import ENOUGH_SPLITS, IntervalsSummary, write_intervals
from framework.evaluate.rank_agreement import RankAgreement, rank_agreement
from framework.evaluate.score import Scoring, evaluate, prepare
from framework.evaluate.truth import CLASSES, found_of_truth, read_truth

__all__ = [
    "CLASSES",
    "ENOUGH_SPLITS",
    "EVALUATIONS",
    "AlignSummary",
    "CanonicalCorrelations",
    "Coral",
    "CorrelateSummary",
    "EvaluateConfig",
    "Evaluation",
    "EvaluationKind",
    "IntervalsSummary",
    "MarkerEvaluation",
    "MarkersKind",
    "OmicsEvaluation",
    "OmicsKind",
    "RankAgreement",
    "ScoreTable",
    "Scored",
    "ScoresPredictions",
    "Scoring",
    "Verdict",
    "against_baseline",
    "align",
    "align_groups",
    "baseline_table",
    "batch_in_components",
    "beside_baselines",
    "canonical_correlations",
    "correlate",
    "evaluate",
    "evaluate_markers",
    "evaluate_omics",
    "evaluation_kind",
    "found_of_truth",
    "headline_share",
    "linear_baseline",
    "prepare",
    "rank_agreement",
    "rank_genes",
    "rankable",
    "read_evaluation",
    "read_truth",
    "render",
    "render_baselines",
    "targets_beside_baselines",
    "tile_mean_intensities",
    "write_evaluation",
    "write_intervals",
]
