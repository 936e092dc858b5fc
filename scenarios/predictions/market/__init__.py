"""The parimutuel file market of huberman-wu."""
