"""Pure: the commands below `swarmbed netem`, one module each with a click command `command`, found by name."""
