"""What tests of whole nodes share: links, and who takes part in a world and holds its files."""

from __future__ import annotations

from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig

KB = 1_000
CLEAN = LinkConfig((Delay(0.02, 0.005),))
LOSSY = LinkConfig((Loss(0.05), Delay(0.02, 0.005)))


def members(world):
    return [world.name_of(member.node) for member in world.tracker._desk.membership.members()]


def holders(world, index):
    return [world.name_of(node) for node in world.tracker._desk.catalogue.servers(index)]
