"""``python -m experiments.image2omics.together``: the chain, loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.image2omics.together.chain")
