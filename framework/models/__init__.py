"""Networks that turn tiles and bags of tiles into vectors; pure modules that know nothing of ranks, data or losses."""

from framework.models.bag import Aggregate, BagEncoder
from framework.models.base import (
    BACKBONES,
    BackboneChoice,
    BatchNormConstants,
    TileEncoder,
    build_backbone,
    dense_head,
    glorot_,
)
from framework.models.efficientnet_lite0 import EfficientNetLite0Config
from framework.models.filter_bank import FilterBankConfig
from framework.models.guided import guided_gradients
from framework.models.ifcseq import IfcSeqConfig
from framework.models.inpainting import (
    REDUCTION,
    SOURCE_ENCODERS,
    AlexNetSourceConfig,
    AutoencoderNet,
    DecoderWidths,
    InpaintingNet,
    ResNet18SourceConfig,
    SourceChoice,
    build_source,
)
from framework.models.layers import SpatialPool, layer_names, need_layers, pooled_layers
from framework.models.options import NetworkOptions
from framework.models.pools import (
    POOLS,
    BagPool,
    GatedAttention,
    MeanPoolConfig,
    PoolChoice,
    PoolOptions,
    mean_over_tiles,
)
from framework.models.resnet import ResNet18Config
from framework.models.small import SmallCnnConfig
from framework.models.smooth import smooth_gradients
from framework.models.taking import Taken, take_weights
from framework.models.vit import VitConfig

__all__ = [
    "BACKBONES",
    "POOLS",
    "REDUCTION",
    "SOURCE_ENCODERS",
    "Aggregate",
    "AlexNetSourceConfig",
    "AutoencoderNet",
    "BackboneChoice",
    "BagEncoder",
    "BagPool",
    "BatchNormConstants",
    "DecoderWidths",
    "EfficientNetLite0Config",
    "FilterBankConfig",
    "GatedAttention",
    "IfcSeqConfig",
    "InpaintingNet",
    "MeanPoolConfig",
    "NetworkOptions",
    "PoolChoice",
    "PoolOptions",
    "ResNet18Config",
    "ResNet18SourceConfig",
    "SmallCnnConfig",
    "SourceChoice",
    "SpatialPool",
    "Taken",
    "TileEncoder",
    "VitConfig",
    "build_backbone",
    "build_source",
    "dense_head",
    "glorot_",
    "guided_gradients",
    "layer_names",
    "mean_over_tiles",
    "need_layers",
    "pooled_layers",
    "smooth_gradients",
    "take_weights",
]
