"""``python -m experiments.image2omics.truth`` (make truth): the chain, loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.image2omics.truth.chain")
