"""Files of the state folder that others read while they are written anew."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, body: bytes) -> None:
    """Put a file (0600) with ``body`` in the place of the one at ``path``: a reader has the old
    or the new one, never a part. Raises ``OSError``, and then the old one stays.
    """
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
    new.replace(path)
