"""``python -m experiments.demo`` (make demo): the chain, which is loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.demo.chain")
