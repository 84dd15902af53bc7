"""Starting runs: the command `wellstream` and the torchrun target."""
