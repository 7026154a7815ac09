"""What a Gateway's refusal of a connection means, for the person who must fix it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raftsup.runners.openclaw.frames import SCOPES, Hello, one_line
from raftsup.runners.openclaw.websocket import Refused

_REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True)
class Trouble:
    #: What is wrong and what to do, to be read after "the Gateway <url>: ".
    text: str
    #: Seconds until the next try; None: by back-off.
    again: float | None = None
    #: Only a person can help: it is tried slowly.
    lasting: bool = False


#: By ``error.details.code``, then by ``error.code``. Source: docs/gateway/protocol/auth.md and
#: what a Gateway 2026.9.6 answered.
_ADVICE = {
    "AUTH_TOKEN_MISMATCH": "it does not take this token; compare the agent's token (or"
    " OPENCLAW_GATEWAY_TOKEN) with gateway.auth.token on the Gateway's host",
    "AUTH_PASSWORD_MISMATCH": "it does not take this password; compare the agent's password with"
    " gateway.auth.password on the Gateway's host",
    "AUTH_TOKEN_MISSING": "it wants a token; set the agent's token, or OPENCLAW_GATEWAY_TOKEN"
    " where raftsup is started",
    "AUTH_PASSWORD_MISSING": "it wants a password; set the agent's password",
    "AUTH_SCOPE_MISMATCH": "this host is approved there for less than it asks for; approve it"
    " again with `openclaw devices approve` on the Gateway's host",
    "AUTH_RATE_LIMITED": "it refused too many wrong tokens and takes none for a while",
    "DEVICE_IDENTITY_REQUIRED": "it wants a token or password; set the agent's token, or"
    " OPENCLAW_GATEWAY_TOKEN where raftsup is started",
}


def of_refusal(refused: Refused) -> Trouble:
    code = str(refused.details.get("code", refused.code))
    if "PAIRING" in code or (refused.code == "NOT_PAIRED" and "requestId" in refused.details):
        request = refused.details.get("requestId")
        # It goes into a command that a person copies.
        sound = isinstance(request, str) and _REQUEST.fullmatch(request)
        which = f" {request}" if sound else ""
        return Trouble(
            f"it does not know this host yet; run `openclaw devices approve{which}` on the"
            " Gateway's host",
            lasting=True,
        )
    if code in _ADVICE:
        return Trouble(f"{_ADVICE[code]} ({code})", lasting=True)
    if refused.retryable or refused.code == "UNAVAILABLE":
        return Trouble("it is starting", refused.retry_after)
    return Trouble(f"it refused the connection: {one_line(str(refused))}", lasting=True)


def of_hello(hello: Hello) -> Trouble | None:
    """None for a Gateway that lets us do our work."""
    if not hello.boot:
        # Without it a run that a restart cut off could not be told from one that goes on.
        return Trouble(
            f"it is version {one_line(hello.version)}, which does not tell one boot from the next;"
            " raftsup needs 2026.9 or newer",
            lasting=True,
        )
    missing = [scope for scope in SCOPES if scope not in hello.scopes]
    if missing:
        return Trouble(
            f"it took the connection without {' and '.join(missing)}; reach it directly on"
            " loopback, or approve this host with `openclaw devices approve`",
            lasting=True,
        )
    return None
