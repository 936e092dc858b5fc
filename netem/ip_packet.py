"""Pure: IPv4 packets with UDP datagrams or TCP segments in them, checksums and all.

Source: RFC 791 (IPv4), RFC 768 (UDP), RFC 9293 (TCP), RFC 1071 (the checksum).
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from functools import lru_cache

Address = tuple[str, int]

_UDP, _TCP = 17, 6
_IP_HEAD = struct.Struct(">BBHHHBBH")
_UDP_HEAD = struct.Struct(">HHHH")
_TCP_HEAD = struct.Struct(">HHIIBBHHH")
_IP_BYTES, _TCP_BYTES = 20, 20
_VERSION_AND_WORDS = 0x45
_DO_NOT_FRAGMENT = 0x4000
_HOPS = 64
_WINDOW = 65_535
_ONES = 0xFFFF


class Flags(enum.IntFlag):
    """The flags of a TCP segment."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


def udp_packet(source: Address, target: Address, data: bytes, *, number: int = 0) -> bytes:
    """Return an IPv4 packet with a datagram; `number` (taken modulo 2^16) is its identification."""
    size_bytes = _UDP_HEAD.size + len(data)
    start = _UDP_HEAD.pack(source[1], target[1], size_bytes, 0)
    check = _checksum(_pseudo_header(source, target, _UDP, size_bytes) + start + data) or _ONES  # 0 would mean: none
    datagram = _UDP_HEAD.pack(source[1], target[1], size_bytes, check) + data
    return _ip_packet(source, target, datagram, protocol=_UDP, number=number)


def tcp_packet(
    source: Address, target: Address, data: bytes, *, sequence: int, acknowledged: int, flags: Flags
) -> bytes:
    """Return an IPv4 packet with a segment; both counts are taken modulo 2^32."""
    fields = source[1], target[1], sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, _TCP_BYTES << 2, flags, _WINDOW
    start = _TCP_HEAD.pack(*fields, 0, 0)
    check = _checksum(_pseudo_header(source, target, _TCP, len(start) + len(data)) + start + data)
    return _ip_packet(source, target, _TCP_HEAD.pack(*fields, check, 0) + data, protocol=_TCP, number=0)


def _ip_packet(source: Address, target: Address, payload: bytes, *, protocol: int, number: int) -> bytes:
    ends = _packed(source[0]) + _packed(target[0])
    fields = _VERSION_AND_WORDS, 0, _IP_BYTES + len(payload), number & 0xFFFF, _DO_NOT_FRAGMENT, _HOPS, protocol
    check = _checksum(_IP_HEAD.pack(*fields, 0) + ends)
    return _IP_HEAD.pack(*fields, check) + ends + payload


def _pseudo_header(source: Address, target: Address, protocol: int, size_bytes: int) -> bytes:
    return _packed(source[0]) + _packed(target[0]) + struct.pack(">HH", protocol, size_bytes)


@lru_cache(maxsize=4096)
def _packed(ip: str) -> bytes:
    return ipaddress.IPv4Address(ip).packed


def _checksum(data: bytes) -> int:
    # The sum of 16-bit words with end-around carry is the number modulo 2^16 - 1, where 0 stands for all ones.
    total = int.from_bytes(data + bytes(len(data) % 2)) % _ONES
    return _ONES - (total or _ONES)
