"""What netem measures, one metric family a file."""
