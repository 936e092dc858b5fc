"""trio: what a peer may be besides honest: roles, one file each, found by name."""
