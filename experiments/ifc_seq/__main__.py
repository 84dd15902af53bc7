"""``python -m experiments.ifc_seq`` (make ifc): the chain, which is loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.ifc_seq.chain")
