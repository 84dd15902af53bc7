"""Plates to a dataset: wells, sites, flat-fields, nuclei, tiles."""
