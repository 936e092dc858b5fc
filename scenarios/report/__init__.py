"""Pure: the report of a finished run: one HTML file made of nothing but its run directory; see README.md in this folder."""
