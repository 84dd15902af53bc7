"""The page of compared feature sets."""
