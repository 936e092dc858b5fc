"""trio: `swarmbed up`: a market that goes on until Ctrl-C.

Source: DESIGN section 6.
"""

from __future__ import annotations

from typing import Any

import click

from scenarios.asking import common_options, run_seed
from scenarios.commands.run import play

SCENARIO = "steady"
A_DAY_S = 86_400.0


@click.command()
@click.argument("nodes")
@click.option("--seed", default="1", show_default=True, help="The run's seed, a whole number.")
@common_options(without=("nodes", "time_"))
def command(**given: Any) -> int:
    """Keep N nodes and a steady demand going until Ctrl-C (or for --duration seconds): a market to watch and disturb.

    It is `swarmbed run steady` in real time without an end; what it found until then is judged and kept as after any run.
    """
    from scenarios.catalogue import scenario_named

    given["time_"] = "real"
    given["duration"] = given["duration"] if given["duration"] is not None else A_DAY_S
    return play(scenario_named(SCENARIO), given, seed=run_seed(given["seed"]))
