"""What is asked of an OpenAI-style endpoint, and by which way. Pure.

The two request shapes are those of OpenAI's API reference ("Create a model response", "Create chat
completion"), of which OpenClaw's ``docs/gateway/openai-http-api.md`` and
``openresponses-http-api.md`` say what a Gateway reads.
"""

from __future__ import annotations

import ipaddress
import string
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from raftsup.config.model import OpenAIAgent
from raftsup.errors import RaftsupError

PATHS = {"responses": "/responses", "chat": "/chat/completions"}
#: What a header may hold as it is; "%" marks what had to be replaced.
_PLAIN = (string.punctuation + " ").replace("%", "")


class NoWay(RaftsupError):
    """The proxy that the environment names cannot be used."""


def url_of(agent: OpenAIAgent, path: str) -> str:
    return agent.base_url.rstrip("/") + path


def shown(url: str) -> str:
    """``url`` for people, without what may be secret in one (user, password, query)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def session_of(agent: OpenAIAgent, lane: str) -> str:
    """The session's name, fit for a header: a lane may be named with any character."""
    return agent.session or "raft:" + quote(lane, safe=_PLAIN)


def body(agent: OpenAIAgent, session: str, notice: str) -> dict[str, object]:
    """The request for one answer to the notice, given whole.

    Not streamed: nobody reads along. An endpoint behind a proxy that closes quiet connections
    before the turn's own deadline is better asked through OpenClaw's own protocol.
    """
    asked: dict[str, object] = {"model": agent.model, "user": session, "stream": False}
    if agent.api == "responses":
        return {**asked, "input": notice}
    return {**asked, "messages": [{"role": "user", "content": notice}]}


def headers(agent: OpenAIAgent, session: str, key: str) -> dict[str, str]:
    """The headers of a turn's request. ``key`` tells the endpoint that two requests are one."""
    named = {agent.session_header: session} if agent.session_header else {}
    return {**credentials(agent), **named, "Idempotency-Key": key}


def credentials(agent: OpenAIAgent) -> dict[str, str]:
    """The config's own headers and the key, which wins over an ``Authorization`` among them."""
    if not agent.api_key:
        return dict(agent.headers)
    others = {k: v for k, v in agent.headers.items() if k.lower() != "authorization"}
    return {**others, "Authorization": f"Bearer {agent.api_key}"}


def proxy_for(url: str, env: Mapping[str, str]) -> str | None:
    """The HTTP proxy on the way to ``url``; None: there is none.

    By the variables that curl knows, the lower-case ones first: ``<scheme>_proxy``, ``all_proxy``,
    ``no_proxy``. A loopback address is never asked for through a proxy: it would be the proxy's.
    Raises ``NoWay`` for a proxy that does not speak HTTP.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _loopback(host):
        return None
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if _spared(host, port, env.get("no_proxy") or env.get("NO_PROXY") or ""):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if chosen := env.get(variable):
                return _http(chosen, variable)
    return None


def _spared(host: str, port: int | None, names: str) -> bool:
    """Whether ``NO_PROXY`` names the host, a domain above it, or either with this port."""
    for name in names.replace(",", " ").split():
        domain = name.lower().lstrip("*").lstrip(".")
        bare = domain.removesuffix(f":{port}")
        if name == "*" or host == bare or host.endswith(f".{bare}"):
            return True
    return False


def _http(proxy: str, variable: str) -> str:
    named = proxy if "://" in proxy else f"http://{proxy}"
    scheme = urlsplit(named).scheme
    if scheme not in ("http", "https"):
        raise NoWay(
            f"{variable} names a proxy of the kind {scheme}; give one that speaks HTTP, or name"
            " the endpoint's host in NO_PROXY"
        )
    return named


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
