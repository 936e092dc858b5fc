"""The scenarios: one file each, found by name (an underscore in the file is a hyphen in the name)."""
