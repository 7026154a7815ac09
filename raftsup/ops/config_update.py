"""A change of the config file, and then of the host that runs by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raftsup.config.errors import ConfigError
from raftsup.config.file_update import FileUpdate, revert, unset_variables, update_file
from raftsup.config.load import load_text
from raftsup.config.model import Config, Supervisor
from raftsup.config.placeholders import with_placeholders
from raftsup.errors import RaftsupError
from raftsup.ops import reload, rpc
from raftsup.paths import StateDir
from raftsup.proc import lockfile


class Refused(RaftsupError):
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
        return lockfile.holder(self.state.lock)


def change(
    target: Target, of_text: Callable[[str | None], str], *, tell_host: bool = True
) -> Iterator[str]:
    """Rewrite the file and apply it to the running host; a line for each thing done.

    ``tell_host`` False: it is applied to no host. Raises as ``update_file`` does, and ``Refused``.
    """
    done = update_file(target.path, of_text, target.environ)
    if not done.changed:
        yield f"{target.path}: it says so already, nothing was changed"
        return
    said = f"{target.path}: {'written' if done.before is None else 'changed'}"
    if target.host is None:
        yield said
        yield "no host runs: it takes effect at the next start, `raftsup up`"
    elif ending := _ending(target):
        yield said
        yield f"{ending}: the change takes effect at the next start"
    elif not tell_host or _mode(done.after, target) == "off":
        yield said
        yield "the running host was not told; apply it with `raftsup reload`"
    elif (other := _other_file(target)) is not None:
        yield said
        yield f"the running host goes by {other}, so this changes nothing for it"
    else:
        yield from _reload(target, done, said)


def lenient(text: str, target: Target) -> Config:
    """The config in ``text``; words stand in for unset variables, which the host may well have.

    Raises ``ConfigError``.
    """
    names = unset_variables(text, target.path, target.environ)
    return load_text(text, target.path, with_placeholders(target.environ, names))


def _ending(target: Target) -> str:
    """Why the running host changes nothing any more; "" if it may."""
    try:
        rpc.call(target.state, "getPID")
    except rpc.ParentEnds as error:
        return str(error)
    except (rpc.ParentDown, rpc.ParentRefused):
        pass  # told when it is to apply the change
    return ""


def _other_file(target: Target) -> Path | None:
    """The running host's config file, if it is not the one that is changed."""
    standing = reload.standing(target.state)
    path = Path(standing["path"]) if standing else target.path
    return path if path.resolve() != target.path.resolve() else None


def _mode(text: str, target: Target) -> str:
    try:
        return lenient(text, target).supervisor.reload
    except ConfigError:
        # Something was wrong before as well: the host tells what.
        return Supervisor.reload


def _reload(target: Target, done: FileUpdate, said: str) -> Iterator[str]:
    told = False
    try:
        for step in reload.apply(target.state):
            if not told:
                yield said
            told = True
            yield reload.sentence(step)
    except reload.FileRefused as error:
        kept = "nothing was changed" if revert(target.path, done) else "the file is changed"
        raise Refused(
            f"{kept}: the running host refuses it: {error}. Fix that, or write the file for the"
            " host's next start with --no-reload"
        ) from None
    except (rpc.ParentDown, rpc.ParentRefused) as error:
        raise Refused(
            f"the file is changed, but the running host did not apply all of it: {error};"
            " `raftsup reload` does"
        ) from None
    if not told:
        yield said
        # The file's watcher may have been faster.
        yield "the running host has applied it"
