"""Changing the config file: one writer at a time, and never into something that is worse.

The new text is checked before it takes the place of the old one, in one step: who reads the file
meanwhile reads the one or the other.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raftsup import files
from raftsup.config.errors import ConfigError, Problem
from raftsup.config.json5.edit import EditRefused
from raftsup.config.load import load_text
from raftsup.config.placeholders import unset_names
from raftsup.config.reader import text_in, unset_variable
from raftsup.proc import lockfile
from raftsup.wait import until

#: Seconds to wait for another command that changes the same file.
LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class FileUpdate:
    #: The text before; None if there was no file.
    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def update_file(
    path: Path,
    change: Callable[[str | None], str],
    environ: Mapping[str, str],
    lock_timeout: float = LOCK_TIMEOUT_S,
) -> FileUpdate:
    """Put ``change`` of the file's text (None: there is no file) in its place.

    Follows a symbolic link; keeps mode and owner; a new file is 0600. Raises ``EditRefused``
    (``change`` may too) and ``ConfigError``; then nothing was changed. Two rewrites wait for each
    other. An editor that saves in between is noticed and its work is kept.
    """
    real = path.resolve()
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(real, lock_timeout):
            seen = _state(real)
            before = text_in(path) if seen else None
            after = change(before)
            if before != after:
                refuse_worse(before, after, path, environ)
                refuse_closed(path)
                _put(real, after, seen)
            return FileUpdate(before, after)
    except OSError as error:
        raise EditRefused(f"{path}: cannot be changed: {error.strerror}") from error


def revert(path: Path, done: FileUpdate) -> bool:
    """Undo ``done``, unless the file has been changed since; whether it was undone."""
    real = path.resolve()
    with contextlib.suppress(OSError), _alone(real):
        seen = _state(real)
        if seen is None or text_in(path) != done.after:
            return False
        if done.before is None:
            real.unlink()
        else:
            _put(real, done.before, seen)
        return True
    return False


def refuse_worse(before: str | None, after: str, path: Path, environ: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` with the problems of ``after`` that ``before`` did not have.

    A variable that is unset is none of them: the host's environment need not be this one.
    """
    old = {(p.where, p.what) for p in problems(before, path, environ)} if before else set()
    new = [p for p in problems(after, path, environ) if (p.where, p.what) not in old]
    if new:
        raise ConfigError(new)


def problems(text: str, path: Path, environ: Mapping[str, str]) -> list[Problem]:
    """What is wrong with a config, but for variables that are unset here."""
    try:
        load_text(text, path, environ)
    except ConfigError as error:
        return [p for p in error.problems if unset_variable(p) is None]
    return []


def unset_variables(text: str, path: Path, environ: Mapping[str, str]) -> list[str]:
    """The variables that a config takes and ``environ`` does not have, each once."""
    try:
        load_text(text, path, environ)
    except ConfigError as error:
        return unset_names(error.problems)
    return []


def refuse_closed(path: Path) -> None:
    """Raise ``EditRefused`` where the file is not to be changed, or not by this user."""
    real = path.resolve()
    folder = next(folder for folder in real.parents if folder.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EditRefused(f"{path}: this user may not write in {folder}")
    # Putting another file in its place would need no right to write into this one.
    seen = _state(real)
    if seen is not None and not (seen.st_mode & 0o222 and os.access(real, os.W_OK)):
        raise EditRefused(
            f"{path}: is read-only; change it where it is made, or open it with `chmod u+w`"
        )


@contextlib.contextmanager
def _alone(real: Path, timeout: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the file's folder, which leaves nothing behind. Raises ``EditRefused``."""
    descriptor = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not until(lambda: lockfile.try_lock(descriptor), timeout):
            raise EditRefused(
                f"{real}: another command has been changing it for {timeout:g} s; try again when"
                " it is done"
            )
        yield
    finally:
        os.close(descriptor)


def _state(real: Path) -> os.stat_result | None:
    try:
        return real.stat()
    except FileNotFoundError:
        return None


def _put(real: Path, text: str, seen: os.stat_result | None) -> None:
    def unchanged() -> None:
        if _version(_state(real)) != _version(seen):
            raise EditRefused(f"{real}: was changed by another program just now; try again")

    mode = 0o600 if seen is None else stat.S_IMODE(seen.st_mode)
    theirs = seen is not None and (seen.st_uid, seen.st_gid) != (os.geteuid(), os.getegid())
    owner = (seen.st_uid, seen.st_gid) if seen and theirs else None
    files.replace(real, text.encode(), mode=mode, owner=owner, durable=True, last=unchanged)


def _version(seen: os.stat_result | None) -> tuple[int, ...] | None:
    return seen and (seen.st_ino, seen.st_size, seen.st_mtime_ns)
