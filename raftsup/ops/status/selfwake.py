"""Sending a probe to an account's endpoint: a wake that owes nothing (see ``worker.selfwake``)."""

from __future__ import annotations

import http.client
import json
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from raftsup.errors import RaftsupError
from raftsup.worker.probe_key import STATUS

_SCHEMA = "raftsup-probe.v1"
#: As of a wake: the key goes where the bridge's token goes.
_HEADER = "x-raft-bridge-token"


class ProbeFailed(RaftsupError):
    """A wake would not get in; the message says what stopped it."""


def send(url: str, key_file: Path, timeout: float) -> None:
    """Probe the endpoint ``url``; ``timeout`` seconds for each step. Raises ``ProbeFailed``."""
    try:
        key = key_file.read_text(encoding="ascii")
        if not key.isprintable():
            raise UnicodeError
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it was spoilt"
        raise ProbeFailed(
            f"the worker's probe key {key_file} cannot be read ({why}); restart the account:"
            f" `raftsup ctl restart accounts:{key_file.stem}`"
        ) from error
    body = json.dumps({"schema": _SCHEMA, "eventId": str(uuid.uuid4())})
    headers = {_HEADER: key, "Content-Type": "application/json"}
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path, body, headers)
        response = connection.getresponse()
        answer = response.read(65536)
    except TimeoutError as error:
        raise ProbeFailed(f"{url} did not answer within {timeout:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise ProbeFailed(f"{url} cannot be reached: {error}") from error
    finally:
        connection.close()
    if response.status != STATUS:
        raise ProbeFailed(f"{url} refuses it with {response.status}: {_error_in(answer)}")


def _error_in(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"
