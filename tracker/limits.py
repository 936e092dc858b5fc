"""Pure: what a connection to the tracker may cost before anything is known of its owner and after, and how fast boards leave.

Source: DESIGN section 4 (TCP: sizes are checked before anything is allocated).
"""

from __future__ import annotations

JOIN_S = 10.0  # as long as a node waits for an answer
JOIN_BYTES = 1024
FRAME_S = 10.0  # from a frame's first byte to its last
STRANGERS = 1024
FAN_OUT = 20  # members that a board goes out to at once ...
FAN_OUT_NS = 10_000_000  # ... and how long until the next ones ...
FAN_OUTS = 50  # ... at most so often: then half of a board's second is over
DATAGRAMS_PER_S = 400.0  # of one member: a heartbeat has at most 256 pages
