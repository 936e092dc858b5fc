"""trio: `swarmbed netem explain`: says what a tc line means, here and in the kernel.

Source: DESIGN section 6.
"""

from __future__ import annotations

import click


@click.command()
@click.argument("line")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(line: str, *, as_json: bool) -> None:
    """Say what the tc netem LINE means: delay, loss, rate, and what would surprise.

    A whole `tc qdisc ... netem ...` command will do, in quotes. Of our own are the words `ordered` and `mode kernel`.
    """
    import json

    from netem.explain import explain

    meaning = explain(line)
    if as_json:
        click.echo(json.dumps(meaning.to_dict(), indent=2, ensure_ascii=False))
        return
    click.echo(meaning.line)
    for name, value in meaning.figures.items():
        click.echo(f"  {_words(name):<28}{_value(name, value)}")
    for warning in meaning.warnings:
        click.echo(f"! {warning}")


def _words(name: str) -> str:
    for unit in ("_bytes_per_s", "_packets", "_per_s", "_s"):
        if name.endswith(unit):
            return name.removesuffix(unit).replace("_", " ")
    return name.replace("_", " ")


def _value(name: str, value: float) -> str:
    if name.endswith("_bytes_per_s"):
        return f"{value:,.0f} bytes/s ({value * 8e-6:.4g} Mbit/s)"
    if name.endswith("_per_s"):
        return f"{value:,.1f} per second"
    if name.endswith("_packets"):
        return f"{value:,.4g} packets" if value < 100 else f"{value:,.0f} packets"
    if name.endswith("_s"):
        return f"{value * 1e3:.4f} ms"
    if name.endswith(("_rate", "_share")):
        return f"{value:.4%}" if value >= 1e-5 or value == 0.0 else f"{value:.3g}"
    return f"{value:.6g}"
