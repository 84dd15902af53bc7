"""From a plan to batches on a device: threads that fill, buffers, copies, scaling and flips."""
