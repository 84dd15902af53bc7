"""Image2Omics: embeddings of wells and heads for genes (Mehrizi 2023)."""
