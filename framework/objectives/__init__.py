"""What a run optimises: entries of ``OBJECTIVES``, each from a batch to sums and counts."""

from framework.objectives.autoencoder import Autoencoder, AutoencoderConfig
from framework.objectives.bag_encoding import EncodesBags
from framework.objectives.base import (
    OBJECTIVES,
    Embeds,
    Gather,
    Losses,
    Objective,
    ObjectiveConfig,
    Output,
    Paints,
    Predicts,
    ProfileWithTables,
)
from framework.objectives.cell_expression import CellExpression, CellExpressionConfig
from framework.objectives.marker_regression import MarkerRegression, MarkerRegressionConfig
from framework.objectives.omics_bags import OmicsBags, OmicsBagsConfig
from framework.objectives.omics_heads import OmicsHeads, OmicsHeadsConfig
from framework.objectives.paired_inpainting import PairedInpainting, PairedInpaintingConfig
from framework.objectives.pretrained import PretrainedBackbone
from framework.objectives.triplet_mil import TripletMIL, TripletMILConfig

__all__ = [
    "OBJECTIVES",
    "Autoencoder",
    "AutoencoderConfig",
    "CellExpression",
    "CellExpressionConfig",
    "Embeds",
    "EncodesBags",
    "Gather",
    "Losses",
    "MarkerRegression",
    "MarkerRegressionConfig",
    "Objective",
    "ObjectiveConfig",
    "OmicsBags",
    "OmicsBagsConfig",
    "OmicsHeads",
    "OmicsHeadsConfig",
    "Output",
    "Paints",
    "PairedInpainting",
    "PairedInpaintingConfig",
    "Predicts",
    "PretrainedBackbone",
    "ProfileWithTables",
    "TripletMIL",
    "TripletMILConfig",
]
