"""The commands of `swarmbed`, one file each: `command` is what click runs. Adding a file adds a command."""
