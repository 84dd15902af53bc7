"""A trained network as one file that runs without this project: stored pixels in, embeddings out."""

from __future__ import annotations

import copy
import io
import logging
from pathlib import Path

import torch
from torch import nn

from framework.data.loading.transform import scale
from framework.data.scales import ScaleProfile
from framework.durable import write_with
from framework.errors import RunError
from framework.objectives import Embeds

_PAIR = 2
"""Tiles of the example that is traced; with one, the number of tiles would become a constant."""


class Portable(nn.Module):
    """Scaling and network in one module.

    Args:
        network: (n, C, H, W) scaled tiles -> (n, E).
        profile: how stored pixels are scaled.
    """

    def __init__(self, network: nn.Module, profile: ScaleProfile) -> None:
        super().__init__()
        self.network = network
        self.profile = profile

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) stored pixels as float32 -> (n, E) float32."""
        embedded: torch.Tensor = self.network(scale(pixels, self.profile))
        return embedded.float()


def portable(objective: Embeds, profile: ScaleProfile) -> Portable:
    """Return scaling and network of a trained objective, on the CPU, in eval mode; the objective is not changed."""
    network = copy.deepcopy(objective.tile_network()).to("cpu", torch.float32).eval()
    return Portable(network, profile).eval().requires_grad_(False)


def write_program(module: Portable, file: Path, shape: tuple[int, int, int]) -> None:
    """Write a module with ``torch.export``, for any number of tiles.

    Args:
        module: what to write.
        file: ``.pt2``.
        shape: (C, H, W) of the tiles.

    Raises:
        RunError: torch cannot trace the network.
        OSError: the file cannot be written.
    """
    whole = io.BytesIO()  # torch ends the process where a file of its own takes no more
    example = torch.zeros(_PAIR, *shape)
    quiet = logging.getLogger("torch.export")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("tiles", min=1)},))
        for node in program.graph.nodes:  # where our code lies on this machine is nothing that others should read
            node.meta.pop("stack_trace", None)
        torch.export.save(program, whole)
    except Exception as error:  # torch raises many kinds on what it cannot trace
        text = " ".join(str(error).split())[:200]
        raise RunError(f"{file}: torch.export cannot trace this network ({text}); export without it") from error
    finally:
        quiet.setLevel(level)
    write_with(file, lambda part: part.write_bytes(whole.getbuffer()))
