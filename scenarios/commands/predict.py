"""trio: `swarmbed predict`: answers from theory alone. It reads a file or standard input.

Source: DESIGN section 6.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

STDIN = "-"


@click.command()
@click.argument("quantity", metavar="[SYSTEM.QUANTITY]", required=False)
@click.option("--input", "source", metavar="FILE.json|-", help="The input, a JSON object; - is standard input.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A key of the input, over the file's; JSON or text."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(quantity: str | None, source: str | None, settings: tuple[str, ...], *, as_json: bool) -> int:
    """Predict SYSTEM.QUANTITY from theory alone; without it, list the quantities and their keys.

    Exit status 1 when the model itself has no answer, as where no equilibrium exists; then the JSON is {"error": "..."}.
    """
    from scenarios.parameters import read_settings
    from scenarios.predictions.catalogue import NoAnswer, prediction_named
    from scenarios.predictions.reading import fill, parse, parse_setting
    from scenarios.predictions.rendering import lines_of

    if quantity is None:
        _list(as_json=as_json)
        return 0
    prediction = prediction_named(quantity)
    values = parse(_read(source), field="--input") if source is not None else {}
    values |= {key: parse_setting(str(value)) for key, value in read_settings(settings).items()}
    given = fill(prediction.input_type, values)
    try:
        answer, status = prediction.predict(given), 0
    except NoAnswer as reason:
        answer, status = {"error": str(reason)}, 1
    lines = [json.dumps(answer, allow_nan=False, ensure_ascii=False)] if as_json else lines_of(answer)
    for line in lines:
        click.echo(line)
    return status


def _read(source: str) -> bytes:
    from netem.errors import ConfigError

    if source == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigError("--input", source, f"a file that can be read, or - ({reason})") from None


def _list(*, as_json: bool) -> None:
    import msgspec

    from scenarios.predictions.catalogue import prediction_named, prediction_names
    from scenarios.predictions.reading import accepted

    rows: list[dict[str, Any]] = []
    for name in prediction_names():
        prediction = prediction_named(name)
        fields = msgspec.structs.fields(prediction.input_type)
        keys = [{"key": f.name, "allowed": accepted(f.type), "required": f.required} for f in fields]
        rows.append({"name": name, "about": prediction.about, "input": keys})
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['name']}\n  {row['about']}")
        for key in row["input"]:
            click.echo(f"    {key['key']}{'' if key['required'] else ' (optional)'}: {key['allowed']}")
