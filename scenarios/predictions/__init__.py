"""What `swarmbed predict` answers: a folder a system, a file a quantity, found by their names."""
