"""Features of single cells: baselines from pixels, and the comparison of feature sets of the same cells."""

from framework.features.compare import evaluate_features
from framework.features.config import FeatureEvaluateConfig
from framework.features.kind import FeaturesKind
from framework.features.table import FeatureTable, open_same_cells

__all__ = ["FeatureEvaluateConfig", "FeatureTable", "FeaturesKind", "evaluate_features", "open_same_cells"]
