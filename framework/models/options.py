"""Options that every network has: the published weights it starts from, and how they are fitted to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, TypeAlias

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from framework.config import NamedOptions

FirstLayer: TypeAlias = Literal["mean", "repeat", "fresh", "same"]
"""How a channel gets its filters of the first convolution, where the file has none of that name. ``mean``: the mean of
the file's filters over its channels. ``repeat``: those of the file's channels in turn. ``fresh``: the initial ones.
``same``: not at all; the file must have the channels of the run. ``mean`` and ``repeat`` are scaled by the file's
number of channels over the run's, so that channels which are all alike give what the file's gave."""
_ALL_OF_THEM = ("weights", "first_layer", "take")


class NetworkOptions(NamedOptions):
    """Options of a backbone or source encoder; written without these keys where there are no weights."""

    weights: str | None = None
    """File or folder with weights to begin with: a folder of ``wellstream export``, a ``.safetensors``, or what
    ``torch.save`` wrote, with torchvision's names, those of Image2Omics' checkpoints or our own."""
    first_layer: FirstLayer = "mean"
    """How the first convolution is adapted to the channels of the run."""
    take: Literal["all", "trunk"] = "all"
    """``all`` takes all weights of the file; ``trunk`` leaves out the dense layers, which then begin anew."""

    @model_validator(mode="after")
    def _nothing_without_weights(self) -> Self:
        defaults = type(self).model_fields
        given = [key for key in _ALL_OF_THEM[1:] if getattr(self, key) != defaults[key].default]
        if given and self.weights is None:
            raise ValueError(f"'{given[0]}' says how 'weights' are used; set 'weights' too, or leave it out")
        return self

    @model_serializer(mode="wrap")
    def _without_keys_that_say_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return plain if self.weights else {key: value for key, value in plain.items() if key not in _ALL_OF_THEM}

    def located(self, absolute: Callable[[str], str]) -> Self:
        """Return the options with the path of the weights made ``absolute``."""
        return self if self.weights is None else self.model_copy(update={"weights": absolute(self.weights)})

    def weights_file(self) -> str:
        """Return the file or folder that ``weights`` names.

        Raises:
            CheckpointError: it names a package that is not installed.
        """
        return self.weights or ""

    def without_weights(self) -> Self:
        """Return the options of the same network, whose weights come from elsewhere."""
        plain = self.plain()
        return type(self).from_plain({key: value for key, value in plain.items() if key not in _ALL_OF_THEM})
