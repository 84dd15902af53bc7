"""``python -m launch`` is the command ``wellstream``."""

from launch.entry import main

main()
