"""One HTTP exchange with an OpenAI-style endpoint: what was sent, what came back, how it broke."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson

from raftsup.errors import RaftsupError
from raftsup.runners.openai.wire import NoWay, proxy_for, shown

#: Seconds for the name look-up, the connection and the TLS handshake together.
CONNECT = 10.0
#: The longest answer that is read, in bytes.
LONGEST = 8 << 20


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    location: str = ""
    retry_after: str = ""


class NotSent(RaftsupError):
    """No request left this host, so nothing can have come of it. The message says why."""


class Lost(RaftsupError):
    """A request was sent, and no whole answer came: what came of it is not known."""


class Sent:
    """Whether a request has left this host, also where its exchange is cancelled."""

    def __init__(self) -> None:
        self.done = False

    async def mark(self, *_: Any) -> None:
        self.done = True


async def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    env: Mapping[str, str],
    content: object = None,
    sent: Sent | None = None,
    longest: int = LONGEST,
) -> Answer:
    """Ask once and read the whole answer; there is no limit of time but the one to connect.

    Follows no redirect, keeps no connection and no cookie, and takes the answer as it comes,
    uncompressed, so that its length is bounded by what is read. When it is cancelled, the
    connection is closed. Raises ``NotSent`` or ``Lost``.
    """
    sent = sent or Sent()
    tracing = aiohttp.TraceConfig(SimpleNamespace)
    # Called before the first byte is written; the connection has been made by then.
    tracing.on_request_headers_sent.append(sent.mark)
    try:
        async with (
            aiohttp.ClientSession(
                # A connection of its own for each: one that was kept may be half closed, and
                # then nobody knows whether the request arrived.
                connector=aiohttp.TCPConnector(force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT),
                auto_decompress=False,
                trace_configs=[tracing],
            ) as session,
            session.request(
                method,
                url,
                data=None if content is None else orjson.dumps(content),
                headers={
                    "User-Agent": "raftsup",
                    "Accept": "application/json",
                    **headers,
                    "Accept-Encoding": "identity",
                    "Content-Type": "application/json",
                },
                allow_redirects=False,
                proxy=proxy_for(url, env),
            ) as response,
        ):
            return Answer(
                response.status,
                await _bounded(response, longest),
                response.headers.get("Location", ""),
                response.headers.get("Retry-After", ""),
            )
    except NoWay as error:
        raise NotSent(str(error)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if sent.done:
            raise Lost(f"{shown(url)}: {_why(error)}") from None
        raise NotSent(f"cannot reach {shown(url)}: {_why(error)}") from None


async def _bounded(response: aiohttp.ClientResponse, longest: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > longest:
            raise Lost(f"{shown(str(response.url))} answered more than {longest >> 20} MiB")
    return bytes(body)


def _why(error: Exception) -> str:
    """In words that hold no part of a header or a body."""
    match error:
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as bad
        ):
            return (
                f"its certificate is not trusted: {bad.verify_message}; name the issuer's"
                " certificate in SSL_CERT_FILE"
            )
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return "TLS failed; check `baseUrl`: http or https, and the port"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection in {CONNECT:g} s"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy refused the connection ({status})"
        case aiohttp.ServerDisconnectedError():
            return "hung up without an answer"
        case asyncio.TimeoutError():
            return "no answer in time"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
    return type(error).__name__
