"""Do intervals hold what they promise: on a simulation with many perturbations, on a Xenium field, on Jurkat cells."""
