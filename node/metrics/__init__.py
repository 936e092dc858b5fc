"""What node measures, one metric family a file."""
