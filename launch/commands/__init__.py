"""The sub-commands of ``wellstream``, one module per group; each has ``register``."""
