"""Benches of the whole project, one file each, found by name."""
