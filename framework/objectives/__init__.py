"""What a run optimises: entries of ``OBJECTIVES``, each from a batch to sums and counts."""

from framework.objectives.autoencoder import Autoencoder, AutoencoderConfig
from framework.objectives.base import OBJECTIVES, Gather, Losses, Objective, PretrainedBackbone
from framework.objectives.marker_regression import MarkerRegression, MarkerRegressionConfig
from framework.objectives.omics_heads import OmicsHeads, OmicsHeadsConfig
from framework.objectives.paired_inpainting import PairedInpainting, PairedInpaintingConfig
from framework.objectives.triplet_mil import TripletMIL, TripletMILConfig

__all__ = [
    "OBJECTIVES",
    "Autoencoder",
    "AutoencoderConfig",
    "Gather",
    "Losses",
    "MarkerRegression",
    "MarkerRegressionConfig",
    "Objective",
    "OmicsHeads",
    "OmicsHeadsConfig",
    "PairedInpainting",
    "PairedInpaintingConfig",
    "PretrainedBackbone",
    "TripletMIL",
    "TripletMILConfig",
]
