"""Datasets behind a URL: downloads that continue, and a cache on this machine that checks what it holds."""
