"""The proof from a run's audit that every planned tile was consumed exactly once."""
