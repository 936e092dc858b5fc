"""Pure: the blocks of a pcapng file, little-endian, and how to take one apart again.

One section, one interface of raw IP packets whose times are nanoseconds since the Unix epoch.

Source: draft-ietf-opsawg-pcapng: sections 3.1 (blocks), 3.5 (options), 4.1 (section header), 4.2 (interface description),
4.3 (enhanced packet), 4.5 (name resolution).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import BinaryIO

_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_BYTE_ORDER = 0x1A2B3C4D
_END, _COMMENT, _USER_APPLICATION, _INTERFACE_NAME, _TIME_RESOLUTION = 0, 1, 4, 2, 9
_NANOSECONDS = b"\x09"
_RAW_IP = 101  # LINKTYPE_RAW: a packet begins with its IP header
_IPV4_NAME = 1
_FRAME = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_OPTION = struct.Struct("<HH")
_PACKET_HEAD = struct.Struct("<IIIII")
_NO_MORE = _OPTION.pack(_END, 0)
_SMALLEST_BLOCK = 12
_LARGEST_OPTION_BYTES = 65_535


def head(application: str) -> bytes:
    """Return what a file begins with: a section by `application`, and its interface."""
    section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _option(_USER_APPLICATION, application.encode()) + _NO_MORE
    interface = struct.pack("<HHI", _RAW_IP, 0, 0)
    interface += _option(_INTERFACE_NAME, application.encode()) + _option(_TIME_RESOLUTION, _NANOSECONDS) + _NO_MORE
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def name(ip: str, host: str) -> bytes:
    """Return the block that names an IPv4 address."""
    record = ipaddress.IPv4Address(ip).packed + host.encode() + b"\0"
    return _block(_NAMES, _option(_IPV4_NAME, record) + _OPTION.pack(_END, 0))


def packet(time_ns: int, data: bytes, comment: str) -> bytes:
    """Return the block of an IP packet with a comment of less than 64 KiB."""
    fixed = _PACKET_HEAD.pack(0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), len(data))
    return _block(_PACKET, fixed + _padded(data) + _option(_COMMENT, comment.encode()) + _NO_MORE)


def blocks(file: BinaryIO) -> Iterator[tuple[int | None, bytes]]:
    """Yield the blocks of such a file, each with its time in ns (None but for packets); one cut off at the end is left out."""
    while len(start := file.read(_FRAME.size)) == _FRAME.size:
        kind, size_bytes = _FRAME.unpack(start)
        if size_bytes < _SMALLEST_BLOCK:
            return
        rest = file.read(size_bytes - _FRAME.size)
        if len(rest) < size_bytes - _FRAME.size:
            return
        time_ns = None
        if kind == _PACKET:
            _, high, low, _, _ = _PACKET_HEAD.unpack_from(rest)
            time_ns = high << 32 | low
        yield time_ns, start + rest


def _block(kind: int, body: bytes) -> bytes:
    size_bytes = len(body) + _SMALLEST_BLOCK
    return _FRAME.pack(kind, size_bytes) + body + _LENGTH.pack(size_bytes)


def _option(code: int, value: bytes) -> bytes:
    assert len(value) <= _LARGEST_OPTION_BYTES
    return _OPTION.pack(code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
