"""The published systems as configs plus protocols; `python -m experiments.demo` runs the first end to end."""
