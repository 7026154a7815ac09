"""A wake that owes nothing: how ``raftsup status --probe`` asks whether a true one would get in.

The bridge's token stays between a worker and its bridge. For probes the worker makes a second
secret at its start, the probe key, and leaves it in the state folder (0600). Who presents it in
the token's header goes the way of a wake: listener, intake, thread, token, ``Host``, size, shape,
"is it stopping"; and is answered there, before the ledger, with another status than a wake's
success. So the key opens nothing: with it nobody can owe a turn, read activity or learn more than
"a wake would be taken", and for the bridge, which never has it, the protocol is as it was.

What a probe does not try: the ledger's write, which ``status`` sees by its reading and the log by
``ledger.unavailable``; and whether the bridge holds the right token, which it had from this same
worker.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Any

from raftsup import files

#: Of a probe that a wake in its place would have got through. A wake's success is 202.
STATUS = 200
ANSWER: dict[str, Any] = {"ok": True, "accepted": False, "probe": True}


def new_key(path: Path) -> str:
    """A new key, written to ``path`` (0600); "" where the disk takes it not: then none is valid."""
    key = f"probe-{secrets.token_hex(32)}"
    try:
        files.replace(path, key.encode())
    except OSError:
        return ""
    return key


def is_probe(presented: str | None, key: str) -> bool:
    """Whether the token's header has the probe key; takes as long for any other value."""
    same = hmac.compare_digest((presented or "").encode("utf-8", "surrogatepass"), key.encode())
    return same and bool(key)
