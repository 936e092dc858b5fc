"""trio: `swarmbed netem design`: a tc line for a loss rate and a mean burst.

Source: DESIGN section 3; Gilbert 1960.
"""

from __future__ import annotations

import click


@click.command()
@click.option("--loss", required=True, help="How many packets are lost, such as 2%.")
@click.option("--burst", required=True, type=float, help="How many are lost in a row on average, at least 1.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, loss: str, burst: float, as_json: bool) -> None:
    """Print the tc line of the Gilbert-Elliott chain that loses as much in bursts as long as wanted."""
    import json

    from netem.impairments.gilbert_elliott import GilbertElliott
    from netem.tc_units import parse_percent

    chain = GilbertElliott.from_loss(parse_percent("--loss", loss), burst)
    if as_json:
        found = {
            "line": chain.to_tc(),
            "p": chain.p,
            "r": chain.r,
            "loss_rate": chain.loss_rate(),
            "mean_burst_packets": burst,
        }
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(chain.to_tc())
