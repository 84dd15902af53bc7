"""Expression per cell from surface markers: the forest of IFC-seq, its scores, and the chain to imaged cells."""

from framework.expression.chain import ExpressionSummary, express
from framework.expression.config import ExpressionConfig, ImagedCells
from framework.expression.forest import ForestConfig, MedianForest, fit_forest

__all__ = [
    "ExpressionConfig",
    "ExpressionSummary",
    "ForestConfig",
    "ImagedCells",
    "MedianForest",
    "express",
    "fit_forest",
]
