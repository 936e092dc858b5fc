"""Pure: which requests the page's own routes answer: those of a page that this run served, on this host.

A page of somebody else's that is open in the same browser may send requests to 127.0.0.1, and, by a name it makes point there,
even read answers. The `Host` header stops the second; `Origin`, a content type that needs the server's consent, and a token
that only the page knows stop the first.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

TOKEN_HEADER = "x-swarmbed-token"  # noqa: S105 - the header's name, no token


class Guard:
    """Judge the headers of requests.

    Args:
        port: of the server.
        token: what a page must show to change anything.
    """

    def __init__(self, *, port: int, token: str) -> None:
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self.token = token

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Return why a request for a page is not answered, '' when it is."""
        host = headers.get("host", "")
        return "" if host in self._hosts else f"host {host!r} is not this run's"

    def refusal_to_change(self, headers: Mapping[str, str]) -> str:
        """Return why a request may not change the run, '' when it may."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if refusal := self.refusal(headers):
            return refusal
        if origin is not None and origin != f"http://{host}":
            return f"origin {origin!r} is not this run's page"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "the content type must be application/json"
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
            return f"the header {TOKEN_HEADER} does not have this run's token"
        return ""
