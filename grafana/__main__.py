"""trio: `python -m grafana` writes the dashboards as JSON into `grafana/dashboards/`. Blocking."""

from __future__ import annotations

from pathlib import Path

from grafana.model import dashboards


def main() -> None:
    """Write one file a dashboard."""
    folder = Path(__file__).parent / "dashboards"
    folder.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
