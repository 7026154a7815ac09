"""Through which proxy the CLI asks a server, by the variables that it reads.

A loopback server is no exception to it; only ``NO_PROXY`` is. Wakes and drains go their way without
[proxy.ts, client.ts].
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


def via(url: str, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy for ``url``; None: the server is asked itself."""
    target = urlsplit(url)
    own = f"{target.scheme}_proxy"
    names = (own.upper(), own, "ALL_PROXY", "all_proxy")
    proxy = next((found for name in names if (found := environ.get(name))), None)
    if proxy is None:
        return None
    port = str(target.port or (443 if target.scheme == "https" else 80))
    spared = (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",")
    host = (target.hostname or "").lower()
    return None if any(_names(rule.strip(), host, port) for rule in spared) else proxy


def _names(rule: str, host: str, port: str) -> bool:
    """Whether a rule of ``NO_PROXY`` is about that host."""
    if rule == "*":
        return True
    name, *rest = rule.split(":")
    if not name or (rest and rest[0] and rest[0] != port):
        return False
    name = name.removeprefix("*").removeprefix(".").lower()
    return host == name or host.endswith(f".{name}")
