"""What a page of a run sends, and what others send who may not ask."""

from __future__ import annotations

from pathlib import Path

from scenarios.page.guard import TOKEN_HEADER

ASSETS = Path(__file__).resolve().parents[3] / "scenarios" / "page" / "assets"
BOARDS = Path(__file__).resolve().parents[3] / "grafana" / "dashboards"
PORT = 9200
HERE = f"127.0.0.1:{PORT}"
TOKEN = "the token"


def allowed(**other):
    headers = {
        "host": HERE,
        "origin": f"http://{HERE}",
        "content-type": "application/json",
        TOKEN_HEADER: TOKEN,
    }
    return {name: value for name, value in (headers | other).items() if value is not None}


REFUSED = {
    "a name that somebody made point here": {"host": f"evil.example:{PORT}"},
    "another port": {"host": "127.0.0.1:80"},
    "no host": {"host": None},
    "another site's page": {"origin": "http://evil.example"},
    "a page of another port": {"origin": "http://127.0.0.1:1"},
    "a page without an origin of its own": {"origin": "null"},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "plain text, which any page may send": {"content-type": "text/plain"},
    "no content type": {"content-type": None},
    "no token": {TOKEN_HEADER: None},
    "another token": {TOKEN_HEADER: "the tokem"},
    "a token that is not ASCII": {TOKEN_HEADER: "é"},
}
