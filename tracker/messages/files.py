"""Pure: messages about the catalogue of files, and the repertoires of files that providers sell licences for."""

from __future__ import annotations

from tracker.messages.fields import Bytes, Credits, FileIndex, Key, Message, NodeId, Share, Text


class Manifest(Message, frozen=True):
    """What makes a file: its name, size and pieces. `root` is the hash that names it (`node/content.py`)."""

    name: Text  # a relative POSIX path, any Unicode
    size_bytes: Bytes
    pieces: list[Key]  # SHA-256 of each piece, in order; empty for an empty file
    root: Key


class Publish(Message, frozen=True):
    """A node offers and holds a file; publishing the same root again returns the same index."""

    manifest: Manifest


class Published(Message, frozen=True):
    """The file's index in the catalogue: files are meant by it from now on."""

    index: FileIndex


class GetCatalogue(Message, frozen=True):
    """Ask for the files from `first` on."""

    first: FileIndex = 0


class Entry(Message, frozen=True):
    """One file of the catalogue."""

    index: FileIndex
    name: Text
    size_bytes: Bytes
    root: Key


class Catalogue(Message, frozen=True):
    """Files of the catalogue, in order of index."""

    files: list[Entry]


class GetManifest(Message, frozen=True):
    """Ask for a file's manifest, answered by `Manifest`."""

    index: FileIndex


class Hold(Message, frozen=True):
    """A node says whether it holds (and serves) a file."""

    index: FileIndex
    holds: bool


class Sell(Message, frozen=True):
    """A content provider offers and holds a file of its repertoire: whoever else is to serve it must buy a licence.

    Answered by `Published`. The first who publishes a file, free or for sale, fixes its terms.
    """

    manifest: Manifest
    price_credits: Credits


class Buy(Message, frozen=True):
    """A server buys the licence to serve a file. Bought again, it costs nothing."""

    index: FileIndex


class Licensed(Message, frozen=True):
    """The licence is the sender's, and paid."""

    index: FileIndex
    price_credits: Credits


class GetOffers(Message, frozen=True):
    """Ask for what providers sell, from file `first` on."""

    first: FileIndex = 0


class Offer(Message, frozen=True):
    """A file of a repertoire, its fixed price, and whether the asking node may serve it already."""

    index: FileIndex
    provider: NodeId
    price_credits: Credits
    licensed: bool


class Offers(Message, frozen=True):
    """Files for sale in order of index, and what a server weighs a price against.

    That is the flat fee, and the share B_i/Σ_k B_k of all bandwidth that the asking node has, or would have if it served.
    """

    files: list[Offer]
    fee_credits: Credits
    share: Share
