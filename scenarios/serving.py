"""trio: the web server of a run, on 127.0.0.1 only: hypercorn's trio worker and a small Starlette application.

Source: DESIGN section 6 (`--serve`).
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from netem.errors import ConfigError
from scenarios.exposition import CONTENT_TYPE, Exposition
from scenarios.turns import TURN_S

HOST = "127.0.0.1"
ANSWER_BYTES = 64 * 1024  # sent at once: each piece costs the server a fraction of a millisecond


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port of 127.0.0.1 while the context lasts; 0 picks a free one.

    Raises:
        ConfigError: the port is taken, or not ours to have.
    """
    listener = socket.socket()
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a run that just ended does not block the port
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError as fault:
            raise ConfigError("--serve", port, f"a free port, or 0 for any ({fault.strerror})") from None
        yield listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of what is served there."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


async def serve_routes(listener: socket.socket, routes: Sequence[BaseRoute]) -> None:
    """Serve until cancelled; answers under way are cut off then."""
    config = Config()
    config.bind = [f"fd://{listener.dup().detach()}"]  # hypercorn closes what it is given
    config.errorlog = config.accesslog = None  # what a run says, it says itself
    app: ASGIFramework = Starlette(routes=routes)  # type: ignore[assignment]  # the two type ASGI's dictionaries differently
    await serve(app, config, mode="asgi")


async def serve_until_interrupted(listener: socket.socket, routes: Sequence[BaseRoute]) -> None:
    """Serve until Ctrl-C (or SIGTERM)."""
    # A KeyboardInterrupt would be raised anywhere, amid the server's own work too.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_routes, listener, routes)
            await anext(signals)
            nursery.cancel_scope.cancel()


def metrics_route(exposition: Exposition) -> Route:
    """Return the route `/metrics`."""
    return Route("/metrics", _Metrics(exposition))


class Large(Response):
    """An answer that is sent in pieces, between which others have their turn."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for begin in range(0, len(self.body), ANSWER_BYTES):
            part = self.body[begin : begin + ANSWER_BYTES]
            await send({"type": "http.response.body", "body": bytes(part), "more_body": True})
            await trio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class TooLarge(Exception):
    """A request's body is larger than those who ask ever need."""


async def body_of(request: Request, *, most_bytes: int) -> bytes:
    """Return the body of a request.

    Raises:
        TooLarge: it has more than `most_bytes`; the rest was not read.
    """
    body = b""
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > most_bytes:
                raise TooLarge(f"a request has at most {most_bytes} bytes")
    return body


class _Metrics:
    """The answer to a scrape, as an application of its own: Starlette's streaming response would start tasks for each."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", CONTENT_TYPE.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(_answer(self._exposition)) as parts:
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(exposition: Exposition) -> AsyncGenerator[bytes, None]:
    began_s = resumed_s = time.perf_counter()
    waiting: list[bytes] = []
    size = 0
    for part in exposition.slices():
        waiting.append(part)
        size += len(part)
        if size >= ANSWER_BYTES:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
        if time.perf_counter() - resumed_s >= TURN_S:
            await trio.lowlevel.checkpoint()
            resumed_s = time.perf_counter()
    yield b"".join(waiting)
    exposition.scrape_s.observe(time.perf_counter() - began_s)
