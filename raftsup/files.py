"""Writing a file whole: a reader has the old one or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

#: Of a file that has not taken its place yet: ``.<name>.<random>.new``.
UNFINISHED = ".*.new"


def replace(
    path: Path,
    body: bytes,
    *,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
    durable: bool = False,
    last: Callable[[], None] = lambda: None,
) -> None:
    """Puts a file with ``body`` in the place of the one at ``path``.

    ``owner``: uid and gid, if not this process's. ``durable``: on disk when this returns.
    ``last`` is called before the file takes its place, and may refuse that by raising. Raises
    ``OSError``; whatever is raised, the old file stays and nothing is left beside it. Two writers
    do not disturb each other: the later one wins.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            # By the descriptor: in a folder of another user's a path may lead elsewhere by now.
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            if durable:
                file.flush()
                os.fsync(descriptor)
        last()
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
