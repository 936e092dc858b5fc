"""What tracker measures, one metric family a file."""
