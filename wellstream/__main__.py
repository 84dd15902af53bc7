"""``python -m wellstream`` is the command ``wellstream``."""

from launch.entry import main

main()
