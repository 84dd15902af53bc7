"""``python -m experiments.first_hour`` (make first-hour): the chain, loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.first_hour.chain")
