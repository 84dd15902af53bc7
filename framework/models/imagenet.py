"""A ResNet-18 trained on ImageNet as a describer of microscopy crops: the transfer baseline.

Its weights are not part of this project; a user brings a file with torchvision's parameter names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from framework.errors import CheckpointError, ConfigError
from framework.models.resnet import ResNet18Trunk
from framework.models.weights_file import read_weights

LAYERS = ("layer1", "layer2", "layer3", "layer4")
_WIDTH = 64
_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the RGB pixels the published weights were trained on, in 0..1."""


@dataclass(frozen=True, kw_only=True)
class ImageNetTrunk:
    """The network up to one of its stages.

    Attributes:
        network: with loaded weights, in evaluation mode.
        layer: the stage whose maps are pooled.
    """

    network: ResNet18Trunk
    layer: str

    @property
    def width(self) -> int:
        """Numbers a crop."""
        return _WIDTH << LAYERS.index(self.layer)

    @classmethod
    def load(cls, file: Path, layer: str = "layer3", device: str = "cpu") -> ImageNetTrunk:
        """Read weights that ``read_weights`` reads, without running any code in them.

        Raises:
            ConfigError: no such stage.
            CheckpointError: no such file, or not the parameters of a ResNet-18 with three input channels.
        """
        if layer not in LAYERS:
            raise ConfigError(f"layer: expected one of: {', '.join(LAYERS)}, found '{layer}'")
        found = {name.removeprefix("trunk."): value for name, value in read_weights(file).state.items()
                 if not name.startswith("head.")}  # fmt: skip
        network = ResNet18Trunk(3, _WIDTH)
        expected = network.state_dict()
        # Old files lack the counters of batch normalisation, which say nothing here.
        counters = {name: value for name, value in expected.items() if name.endswith("num_batches_tracked")}
        found = counters | found
        wrong = [name for name, value in expected.items() if name not in found or found[name].shape != value.shape]
        wrong += [name for name in found if name not in expected]
        if wrong:
            raise CheckpointError(
                f"{file}: not the weights of a ResNet-18 with torchvision's parameter names: {len(wrong)} of its "
                f"parameters are missing, unknown or of another shape, the first is '{wrong[0]}'"
            )
        network.load_state_dict(found)
        return cls(network=network.eval().to(device), layer=layer)

    @torch.inference_mode()
    def describe(self, grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return (n, width): the largest value of each map over the crop.

        Args:
            grey: (n, H, W) in 0..1, shown to all three input channels. Source: Lu 2019, "Baseline feature extraction
                and benchmarking": the protein channel alone, at its own size, max-pooled.
        """
        device = self.network.conv1.weight.device
        mean, sd = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_MEAN, _SD))
        x = (torch.from_numpy(grey.astype(np.float32)).to(device)[:, None] - mean) / sd
        x = self.network.maxpool(self.network.relu(self.network.bn1(self.network.conv1(x))))
        for name in LAYERS[: LAYERS.index(self.layer) + 1]:
            x = getattr(self.network, name)(x)
        return np.asarray(x.amax(dim=(-2, -1)).cpu().numpy(), dtype=np.float32)
