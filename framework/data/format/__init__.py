"""The dataset on disk: the contract, its checksums, and what opening it checks."""
