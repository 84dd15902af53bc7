"""Backbone and heads trained together, beside heads on a frozen backbone: on a simulation, and on real cells."""
