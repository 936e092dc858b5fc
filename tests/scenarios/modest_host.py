"""The figures of a host that carries some runs and not others: what tests of capacity reckon with."""

from scenarios.capacity import Calibration

HOST = Calibration(
    packet_us=10.0,
    block_us=200.0,
    node_us_per_s=1000.0,
    share=0.5,
    lag_p99_ms=1.0,
    lateness_p99_ms=0.1,
    open_files=20_000,
    cores=2,
)
