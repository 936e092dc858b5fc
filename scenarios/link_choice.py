"""trio: which links and hosts a command of `swarmbed netem` is about: its options, and names with commas between. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from netem.errors import ConfigError

Choice = tuple[list[str] | None, list[str] | None, bool]


def link_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that pick links."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="All links; so without any of these options."),
        click.option("--link", nargs=2, metavar="A B", help="Between A and B, both ways."),
        click.option("--to", "target", metavar="B", help="Only to B; without --from, from everywhere."),
        click.option("--from", "source", metavar="A", help="Only from A; without --to, to everywhere."),
    ):
        command = option(command)
    return command


def choice_of(given: Mapping[str, Any]) -> Choice:
    """Return sources, targets (None for all) and whether both ways are meant.

    Raises:
        ConfigError: options that exclude each other, or a name that is empty.
    """
    source, target, link = given["source"], given["target"], given["link"]
    kinds = [source is not None or target is not None, bool(link), given["everything"]]
    if sum(kinds) > 1:
        raise ConfigError("links", "several choices", "one of --from/--to, --link and --all")
    if link:
        return names_of("--link", link[0]), names_of("--link", link[1]), True
    return (
        None if source is None else names_of("--from", source),
        None if target is None else names_of("--to", target),
        False,
    )


def names_of(field: str, text: str) -> list[str]:
    """Return names with commas between; raise ConfigError if one is empty."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(field, text, "names or patterns of hosts, with commas between")
    return names
