"""Datasets of tiles in bags: the contract on disk, sampling plans, byte-range reading and loading."""
