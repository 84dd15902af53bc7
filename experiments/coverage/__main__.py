"""``python -m experiments.coverage`` (make coverage): the chain, which is loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.coverage.chain")
