"""Where an agent is reached, and by what its host is known."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from raftsup.config.errors import Place, Report, quoted, shown
from raftsup.config.validators import INVALID, Check, takes, word

_FINGERPRINT = re.compile(r"(?:sha256:)?((?:[0-9A-Fa-f]{2}:?){32})")


def url(plain: str, secure: str, example: str) -> Check:
    """A URL of either scheme; ``plain`` only on loopback, since a key travels over it."""

    @takes({"type": "string", "examples": [example]})
    def check(value: object, place: Place, report: Report) -> Any:
        address = word(value, place, report)
        if address is INVALID or address is None:
            return address
        if "@" in address or "?" in address or "#" in address:
            # Not shown: what stands there may be a key.
            report.add(place, 'a name, a password or a key stands in the address, or a "?" or "#"',
                       f'write one like "{example}", and a key as a setting of its own',
                       )  # fmt: skip
            return INVALID
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
            good = parts.scheme in (plain, secure) and host and parts.port != 0
        except ValueError:
            good = False
        if not good or " " in address:
            report.add(place, f"{shown(value)} is no {plain}:// or {secure}:// address",
                       f'write one like "{example}"')  # fmt: skip
            return INVALID
        if parts.scheme == plain and not is_loopback(host):
            report.add(place, f"{plain}:// would send the key in the clear to {_host(value, host)}",
                       f"write {secure}://, or reach it by a tunnel on 127.0.0.1")  # fmt: skip
            return INVALID
        return address

    return check


def _host(value: object, host: str) -> str:
    # A host out of a ${VAR} is shown as it is written.
    return quoted(host) if type(value) is str else shown(value)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


@takes({"type": "string"})
def fingerprint(value: object, place: Place, report: Report) -> Any:
    """The SHA-256 of a certificate, as 64 small hex digits."""
    given = word(value, place, report)
    if given is INVALID or given is None:
        return given
    match = _FINGERPRINT.fullmatch(given)
    if match is None:
        report.add(place, f"{shown(value)} is no SHA-256 fingerprint",
                   "write the 64 hex digits of the certificate's SHA-256")  # fmt: skip
        return INVALID
    return match[1].replace(":", "").lower()
