"""Wellstream's training side: datasets of tiles in bags, streamed into data-parallel training.

Rooms and the direction of their imports are described in ARCHITECTURE.md and enforced by tests/architecture.
"""

__version__ = "0.1.0"
