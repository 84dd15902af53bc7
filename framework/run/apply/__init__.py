"""What a trained run is used for: embeddings, predictions, painted cells, saliency, baseline features."""
