"""Stores: random access to tiles or cached embeddings by number."""

from framework.data.store.tiles import EmbeddingStore, Store, TileStore, dataset_digest

__all__ = ["EmbeddingStore", "Store", "TileStore", "dataset_digest"]
