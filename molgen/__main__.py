"""``python -m molgen``."""

from molgen.cli import main

main()
