"""The names of this room, each once; ``framework.lazy`` loads one at its first use."""

from framework.features.compare import evaluate_features as evaluate_features
from framework.features.config import FeatureEvaluateConfig as FeatureEvaluateConfig
from framework.features.kind import FeaturesKind as FeaturesKind
from framework.features.table import FeatureTable as FeatureTable
from framework.features.table import open_same_cells as open_same_cells
