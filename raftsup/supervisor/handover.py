"""What a host leaves to the one that takes its place by exec: its lock and the last good config.

The next host reads the file anew. A file that was broken in the meantime must not be its end: it
then runs with the config that it was left, as a host that was not restarted would. That goes
through a pipe, as a config holds keys: the version of raftsup in a line, then what
``config.document`` makes of it. One that another version left is refused with a line, and the file
is all there is. The lock stays held, so that nobody takes a host that restarts for one that has
ended. The environment tells the descriptors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, MutableMapping
from pathlib import Path

from raftsup import __version__
from raftsup.config import document
from raftsup.config.errors import ConfigError
from raftsup.config.model import Config
from raftsup.errors import RaftsupError
from raftsup.proc import lockfile

CONFIG, LOCK = "RAFTSUP_LEFT_CONFIG", "RAFTSUP_LEFT_LOCK"


def leave_lock(lock: int, environ: MutableMapping[str, str]) -> None:
    """``lock``: the descriptor that holds the state folder."""
    os.set_inheritable(lock, True)
    environ[LOCK] = str(lock)


def lock(path: Path, environ: MutableMapping[str, str]) -> int | None:
    """The descriptor that holds ``path``, if that was left to us."""
    try:
        descriptor = int(environ.pop(LOCK, ""))
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            return None
        if not lockfile.try_lock(descriptor):
            return None
    except (OSError, ValueError):
        return None
    os.set_inheritable(descriptor, False)
    return descriptor


def leave_config(config: Config, environ: MutableMapping[str, str]) -> None:
    """One that no pipe takes is not left."""
    body = __version__.encode() + b"\n" + document.dump(config)
    reading, writing = os.pipe()
    with contextlib.suppress(OSError, AttributeError):  # more than usual, where that can be had
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, len(body))
    os.set_blocking(writing, False)
    try:
        whole = os.write(writing, body) == len(body)
    except OSError:
        whole = False
    os.close(writing)
    if whole:
        os.set_inheritable(reading, True)
        environ[CONFIG] = str(reading)
    else:
        os.close(reading)


def load_or_left(
    load: Callable[[], Config],
    environ: MutableMapping[str, str],
    complain: Callable[[ConfigError], None],
    refuse: Callable[[str], None],
) -> Config:
    """The config in the file; where that cannot be used (``complain`` is told), the one that was
    left to us. ``refuse`` gets a line where that one is not for us to use. Raises ``ConfigError``
    where there is neither.
    """
    left = None
    try:
        left = _take(environ)
    except _Unusable as why:
        refuse(f"the config that the host left for its restart is refused: {why}; the file is read")
    try:
        return load()
    except ConfigError as error:
        if left is None:
            raise
        complain(error)
        return left


class _Unusable(RaftsupError):
    """What was left is not for this version; the message says why, without any of it."""


def _take(environ: MutableMapping[str, str]) -> Config | None:
    number = environ.pop(CONFIG, "")
    if not number:
        return None
    try:
        with os.fdopen(int(number), "rb") as pipe:
            version, _, body = pipe.read().partition(b"\n")
    except (OSError, ValueError) as error:
        raise _Unusable(f"it cannot be read ({type(error).__name__})") from None
    if version != __version__.encode() and re.fullmatch(rb"[\w.+-]{1,40}", version):
        # Also one that can be read may lack what this version looks for.
        raise _Unusable(f"it is from raftsup {version.decode()}, and this is {__version__}")
    try:
        return document.load(body)
    except ValueError as error:
        raise _Unusable(str(error)) from None
