"""Stores: random access to tiles or cached embeddings by number."""

from framework.data.store.base import Store, dataset_digest
from framework.data.store.embeddings import EmbeddingStore
from framework.data.store.tiles import TileStore

__all__ = ["EmbeddingStore", "Store", "TileStore", "dataset_digest"]
