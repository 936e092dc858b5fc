"""trio: `swarmbed node`: one node in a process of its own.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scenarios.cli import EXIT_INTERRUPTED, PATH


@click.command()
@click.option("--tracker", required=True, metavar="HOST:PORT/KEY", help="The tracker, as it printed its address.")
@click.option("--listen", metavar="HOST", help="This node's address; by default the one nearest to the tracker.")
@click.option("--dir", "directory", type=PATH, default=Path("node"), show_default=True, help="Identity and files.")
@click.option("--publish", multiple=True, type=PATH, metavar="PATH", help="Offer a file, or all files below PATH.")
@click.option("--fetch", multiple=True, metavar="NAME", help="Download a file of the catalogue, once it is there.")
@click.option("--once", is_flag=True, help="End when everything is fetched, instead of serving on.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A link key, upload_bytes_per_s, policy.")
def command(tracker: str, settings: tuple[str, ...], **given: Any) -> int:
    """Run a node until Ctrl-C: publish files, fetch files, serve what it holds."""
    import trio

    from scenarios.parameters import fill, read_settings
    from scenarios.standalone import NodeParams, run_node
    from scenarios.tracker_address import TrackerAddress

    params = fill(NodeParams, read_settings(settings))
    params.link()
    address = TrackerAddress.parse(tracker)

    async def main() -> None:
        await run_node(params, address, say=click.echo, **given)

    trio.run(main)
    return 0 if given["once"] else EXIT_INTERRUPTED
