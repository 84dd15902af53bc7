"""``python -m launch`` is the command ``wellstream``."""

from launch.cli import main

main()
