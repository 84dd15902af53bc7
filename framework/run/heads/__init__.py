"""Many linear heads trained at once from cached embeddings, each into a run folder like that of a run of its own."""
