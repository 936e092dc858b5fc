"""trio: `swarmbed tracker`: the tracker and its bank in a process of their own.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from netem.errors import ConfigError
from scenarios.cli import EXIT_INTERRUPTED, PATH


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where nodes find it.")
@click.option("--dir", "directory", type=PATH, default=Path("tracker"), show_default=True, help="Identity and ledger.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A link key, or fee_credits and the like.")
def command(listen: str, directory: Path, settings: tuple[str, ...]) -> int:
    """Run a tracker until Ctrl-C. The first line it prints is the address that `swarmbed node --tracker` takes."""
    import trio

    from scenarios.parameters import fill, read_settings
    from scenarios.process import allow_many_sockets
    from scenarios.standalone import TrackerParams, run_tracker

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError("--listen", listen, "HOST:PORT; port 0 picks a free one")
    params = fill(TrackerParams, read_settings(settings))
    params.link()
    allow_many_sockets()

    async def main() -> None:
        await run_tracker(params, listen=(host, int(port)), directory=directory, say=click.echo)

    trio.run(main)
    return EXIT_INTERRUPTED
