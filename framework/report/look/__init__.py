"""The page of a look: an export before it is built, and a finished dataset."""
