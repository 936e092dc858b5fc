"""The commands of `swarmbed netem`: one module each, named as the command, with a click command named `command`."""
