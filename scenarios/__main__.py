"""trio: `python -m scenarios`, the same as `swarmbed`."""

from scenarios.cli import main

main()
