"""From a config to a trained run: prepare, build, fit."""
