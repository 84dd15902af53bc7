"""Image2Omics on a simulation of the shape of the paper, compared with what was put into it."""
