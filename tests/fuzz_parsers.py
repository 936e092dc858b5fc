"""trio: fuzz every parser with atheris, guided by coverage: `python tests/fuzz_parsers.py SECONDS [SEED]`.

Ends with status 0 when the time is over and nothing undeclared was raised. The first byte of an input chooses the parser.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["netem", "tracker", "node", "scenarios"]):
    import parsers

NAMES = sorted(parsers.TARGETS)


def one_input(data: bytes) -> None:
    """Parse one input."""
    if data:
        parsers.TARGETS[NAMES[data[0] % len(NAMES)]](data[1:])


if __name__ == "__main__":
    seconds, seed = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "1")
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(NAMES):
            for count, sample in enumerate(parsers.SAMPLES[name]):
                (Path(folder) / f"{name}-{count}").write_bytes(bytes([number]) + sample)
        limits = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={tempfile.gettempdir()}/", folder], one_input)
        atheris.Fuzz()
