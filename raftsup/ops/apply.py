"""A change of the config file, and then of the host that runs by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raftsup import flock
from raftsup.config.load import load_text
from raftsup.config.model import Config
from raftsup.config.rewrite import Rewritten, put_back, rewrite, unset_variables
from raftsup.ops import rpc
from raftsup.paths import StateDir


class Refused(Exception):
    """The running host does not take the change; the message says what became of the file."""


@dataclass(frozen=True)
class Target:
    """The file that is changed, and the host that may run by it."""

    path: Path
    state: StateDir
    environ: Mapping[str, str]

    @property
    def host(self) -> int | None:
        """The pid of the host that runs now."""
        return flock.holder(self.state.lock)


def change(
    target: Target, of_text: Callable[[str | None], str], *, now: bool = True
) -> Iterator[str]:
    """Rewrite the file and apply it to the running host; a line for each thing done.

    ``now`` False: the host is not told. Raises as ``rewrite`` does, and ``Refused``.
    """
    done = rewrite(target.path, of_text, target.environ)
    if not done.changed:
        yield f"{target.path}: it says so already, nothing was changed"
        return
    yield f"{target.path}: {'written' if done.before is None else 'changed'}"
    if target.host is None:
        yield "no host runs: it takes effect at the next start, `raftsup up`"
    elif not now or lenient(done.after, target).supervisor.reload == "off":
        yield "the running host was not told; apply it with `raftsup reload`"
    else:
        yield from _reload(target, done)


def lenient(text: str, target: Target) -> Config:
    """The config in ``text``, where unset variables hold a word; the host may well have them.

    Raises ``ConfigError``.
    """
    names = unset_variables(text, target.path, target.environ)
    environ = {**target.environ, **dict.fromkeys(names, "unset")}
    return load_text(text, target.path, environ)


def _reload(target: Target, done: Rewritten) -> Iterator[str]:
    told = 0
    try:
        for line in rpc.reload(target.state):
            told += 1
            yield line
    except rpc.ParentDown as error:
        raise Refused(f"the file is changed, but the host was not reached: {error}") from None
    except rpc.ParentRefused as error:
        if told:
            raise Refused(
                f"the file is changed, but applied half way; say `raftsup reload`: {error}"
            ) from None
        kept = "nothing was changed" if put_back(target.path, done) else "the file is changed"
        raise Refused(
            f"{kept}: the running host refuses it: {error}. Mend that, or write the file for the"
            " host's next start with --no-reload"
        ) from None
    if not told:
        yield "no account to add, remove or restart; the dispatcher has read the file again"
