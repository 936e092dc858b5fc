"""trio: real TCP sockets as the streams and listeners under ours: no more system calls and scheduler passes than needed."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable

import trio

from netem.memory import port_taken
from netem.route import Address

MOST_PER_ACCEPT = 64  # so that other tasks get their turn in a rush
_BACKLOG = 4096  # the kernel caps it
_NO_FILES_S = 0.1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketStream:
    """A connected socket (a `Transport`)."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    def put(self, data: bytes) -> int:
        """Give the kernel as many bytes as it takes now (see `Transport.put`)."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def writable(self) -> None:
        """Wait until the kernel takes bytes (see `Transport.writable`)."""
        self._check_open()
        await trio.lowlevel.wait_writable(self._sock)

    def end(self) -> None:
        """End the sending direction (see `Transport.end`)."""
        with contextlib.suppress(OSError):  # the other end was quicker
            self._sock.shutdown(socket.SHUT_WR)

    def interrupt(self) -> None:
        """Let a receive that waits return nothing (see `Transport.interrupt`)."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes (see `Transport.receive_some`)."""
        while True:
            self._check_open()
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def sever(self) -> None:
        """Let the other end see a reset, not an end, when this one closes."""
        if self._sock.fileno() >= 0:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def close(self) -> None:
        """Close the socket and wake who waits for it (see `Transport.close`)."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def _check_open(self) -> None:
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("this end was closed")


class SocketListener:
    """Incoming streams of a real listening socket (a `Listener`)."""

    def __init__(self, sock: socket.socket) -> None:
        self.address: Address = sock.getsockname()
        self._sock = sock

    async def accept(self) -> list[tuple[SocketStream, Address]]:
        """Wait for streams and return those that are there (see `Listener.accept`); without file descriptors, later."""
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("the listener was closed")
        await trio.lowlevel.wait_readable(self._sock)
        came: list[tuple[SocketStream, Address]] = []
        while len(came) < MOST_PER_ACCEPT:
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                break
            except ConnectionError:  # it was reset before we looked
                continue
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE}:
                    raise
                await trio.sleep(_NO_FILES_S)  # connections wait meanwhile, or are given up
                break
            sock.setblocking(False)
            came.append((SocketStream(sock), address))
        return came

    def close(self) -> None:
        """Refuse further streams. Idempotent."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


class SocketStreams:
    """Streams over real sockets (a `StreamWire`)."""

    async def listen(self, ip: str, port: int) -> SocketListener:
        """Open a listening socket (see `StreamWire.listen`)."""
        await trio.lowlevel.checkpoint()
        sock = _open()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart must not wait for TIME_WAIT
            sock.bind((ip, port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise port_taken(ip, port, error.strerror) from error
        return SocketListener(sock)

    async def connect(self, ip: str, address: Address, announce: Callable[[Address], None]) -> SocketStream:
        """Connect from the host's own address (see `StreamWire.connect`)."""
        await trio.lowlevel.checkpoint_if_cancelled()
        sock = _open()
        try:
            sock.bind((ip, 0))
            announce(sock.getsockname())
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                code = sock.connect_ex(address)  # on a loopback it is done by now: asking is cheaper than waiting
            if code == errno.EALREADY:
                await trio.lowlevel.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            _check_connected(code)
            return SocketStream(sock)
        except BaseException:
            sock.close()
            raise

    def sever(self, transport: object) -> None:
        """Let the peer see a reset when the socket closes (see `StreamWire.sever`)."""
        assert isinstance(transport, SocketStream)
        transport.sever()


def _check_connected(code: int) -> None:
    if code not in {0, errno.EISCONN}:
        raise OSError(code, os.strerror(code))


def _open() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock
