"""Writing a file whole: a reader has the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
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
    with _beside(path, body, mode, owner, durable) as new:
        last()
        new.replace(path)
    if durable:
        _sync_folder(path.parent)


def create(path: Path, body: bytes, *, mode: int = 0o600) -> bool:
    """Puts a file with ``body`` at ``path``, on disk when this returns, if none is there; whether
    it did. Of two writers the earlier one wins. Raises ``OSError``.
    """
    with _beside(path, body, mode, None, True) as new:
        try:
            os.link(new, path)
        except FileExistsError:
            return False
        finally:
            new.unlink()
    _sync_folder(path.parent)
    return True


@contextlib.contextmanager
def _beside(
    path: Path, body: bytes, mode: int, owner: tuple[int, int] | None, durable: bool
) -> Iterator[Path]:
    """A new file in the same folder; gone if what is done with it raises."""
    # Not named by our pid: what a killed start left would stand in the way of the next with it.
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
        yield new
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
