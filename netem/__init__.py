"""The emulated network, and the words everyone shares: randomness, clock, events, errors."""
