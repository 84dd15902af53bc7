"""From a config to collaborators: train, embed, predict, and prove what was consumed. Each is one call."""

from framework.run.config import RunConfig, load_run_config, parse_run_config
from framework.run.embed import embed
from framework.run.embed_layers import embed_layers
from framework.run.fit import fit
from framework.run.folder import RunFolder
from framework.run.inpaint import inpaint
from framework.run.predict import predict
from framework.run.pretrained import OpenedRun, open_run
from framework.run.verify import verify_run

__all__ = [
    "OpenedRun",
    "RunConfig",
    "RunFolder",
    "embed",
    "embed_layers",
    "fit",
    "inpaint",
    "load_run_config",
    "open_run",
    "parse_run_config",
    "predict",
    "verify_run",
]
