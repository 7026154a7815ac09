"""What lets the hooks of one attempt report to the account's endpoint: a URL and a token.

An agent that is a command may have hooks of its own (Claude Code's, say) that know which tool it
uses. They may POST that to ``/activity`` of the account's endpoint (``worker.activity.hooks``),
which asks for a token as every route does. The bridge's token stays between a worker and its
bridge, so an attempt gets one of its own:

- The worker makes a random key at its start and leaves it, with the URL, in a file of the state
  folder (0600). Where the account tells no activity it removes the file.
- The dispatcher derives an attempt's token from the key, HMAC-SHA256 over ``<turn>.<attempt>``,
  and hands it over in the environment. The key itself no agent ever sees.
- The worker takes the token of an attempt only while that runs, as the dispatcher's events say.

With the token one can tell which tool one uses, and nothing else: owe no turn, read no activity.

A worker that is restarted in the middle of a turn has a new key and another port: what the hooks of
that turn send is refused at once, by the kernel or with 401, until the next attempt. Activity is
worth no more than that, so a hook must not wait long, and must not fail its agent.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

import orjson

from raftsup import files

URL_VARIABLE = "RAFTSUP_ACTIVITY_URL"
TOKEN_VARIABLE = "RAFTSUP_ACTIVITY_TOKEN"  # noqa: S105 (the variable's name, not a token)

#: A turn and the number of its attempt.
Run = tuple[int, int]


def new_key() -> str:
    return secrets.token_hex(32)


def publish(path: Path, url: str, key: str) -> None:
    """Leave them for the dispatcher, in a predecessor's place. Raises ``OSError``."""
    files.replace(path, orjson.dumps({"url": url, "key": key}))


def withdraw(path: Path) -> None:
    """Leave nothing. Raises ``OSError``."""
    path.unlink(missing_ok=True)


def token_of(key: str, run: Run) -> str:
    return hmac.digest(key.encode(), f"{run[0]}.{run[1]}".encode(), "sha256").hex()


def environment(path: Path, run: Run) -> dict[str, str]:
    """The variables for the attempt's processes; none where no worker takes what they report."""
    try:
        left = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    match left:
        case {"url": str(url), "key": str(key)} if url and key:
            return {URL_VARIABLE: url, TOKEN_VARIABLE: token_of(key, run)}
    return {}


def run_of(presented: str | None, key: str, running: Iterable[Run]) -> Run | None:
    """Which of the attempts that run has this token. Takes as long for any other value."""
    said = (presented or "").encode("utf-8", "surrogatepass")
    found = None
    for run in running:
        if hmac.compare_digest(said, token_of(key, run).encode()):
            found = run
    return found
