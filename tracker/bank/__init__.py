"""The bank: an append-only, hash-chained journal of balanced transactions. See README.md in the folder above."""
