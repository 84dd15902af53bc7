"""``python -m experiments.bbbc021`` (make bbbc021): the table, which is loaded where Ctrl-C is answered already."""

from experiments.start import start

start("experiments.bbbc021.table")
