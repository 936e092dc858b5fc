"""trio: `swarmbed netem proxy`: an emulated path in front of a program that knows nothing of it.

Source: DESIGN section 6.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from scenarios.cli import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from netem.route import Address


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where clients come.")
@click.option("--to", required=True, metavar="HOST:PORT", help="Where the program is.")
@click.option("--impair", default="", metavar="LINE", help="A tc netem line, for both directions.")
@click.option("--back", metavar="LINE", help="Another one for the answers.")
@click.option("--seed", default="1", show_default=True, help="The seed of chance, a whole number.")
def command(listen: str, to: str, *, impair: str, back: str | None, seed: str) -> int:
    """Relay UDP and TCP to a program over an emulated path, until Ctrl-C; then print what was dropped, and why."""
    import trio

    from netem.link import LinkConfig
    from netem.proxy import Proxy
    from netem.tc import describe, parse_tc
    from scenarios.asking import whole_number

    forth_link, back_link = (
        parse_tc(line) if line else LinkConfig() for line in (impair, impair if back is None else back)
    )
    proxy = Proxy(
        _address("--listen", listen, low=0),
        _address("--to", to, low=1),
        forth=forth_link,
        back=back_link,
        run_seed=whole_number("--seed", seed),
    )

    async def main() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                host, port = await nursery.start(proxy.run)
                click.echo(f"{host}:{port} > {to}: {describe(forth_link)}; back: {describe(back_link)}")
                await anext(signals)
                nursery.cancel_scope.cancel()

    trio.run(main)
    for name, counts in proxy.counts().items():
        click.echo(f"{name}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    click.echo(f"{proxy.connections} connections, {proxy.refused} refused by the program")
    return EXIT_INTERRUPTED


def _address(field: str, text: str, *, low: int) -> Address:
    """Read HOST:PORT; names are looked up."""
    import socket

    from netem.errors import ConfigError

    host, _, port = text.rpartition(":")
    try:
        found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_DGRAM)[0][4]
        if low <= int(port) <= 65_535:
            return str(found[0]), int(found[1])
    except (ValueError, OverflowError, OSError):
        pass
    raise ConfigError(field, text, f"HOST:PORT with a known host and a port from {low} to 65535")
