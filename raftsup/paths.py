"""The layout of a state folder. One folder is one host; two hosts need two folders."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from raftsup import exit_codes
from raftsup.errors import RaftsupError

#: ``sun_path`` holds 108 bytes on Linux (104 on macOS) with the final NUL; supervisor binds
#: ``<socket>.<pid>`` before it renames it.
MAX_SOCKET_PATH = 103 - len(".4194304")

#: Part of a folder's and a unit's name.
INSTANCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class StateDirError(RaftsupError):
    """The state folder cannot be used; the message says why and what to do."""

    exit_code = exit_codes.STATE_DIR


@dataclass(frozen=True)
class StateDir:
    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "raftsup.lock"

    @property
    def supervisord_conf(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        return self.root / "supervisor.sock"

    @property
    def dispatcher_socket(self) -> Path:
        return self.root / "dispatcher.sock"

    @property
    def dispatcher_lock(self) -> Path:
        return self.root / "dispatcher.lock"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def reports(self) -> Path:
        """What each worker says of itself, one JSON file an account."""
        return self.root / "accounts"

    @property
    def heartbeats(self) -> Path:
        """Touched by each program while it does its job; the parent restarts a stale one."""
        return self.root / "alive"

    @property
    def turns(self) -> Path:
        """Transcripts, one file an attempt; also the lock that its processes hold."""
        return self.root / "turns"

    @property
    def agents(self) -> Path:
        """What runners keep between turns: an agent's session, the lock of its process."""
        return self.root / "agents"

    @property
    def device_key(self) -> Path:
        """This host's identity before OpenClaw Gateways."""
        return self.root / "device.pem"

    def report(self, account: str) -> Path:
        return self.reports / f"{account}.json"

    def probe_key(self, account: str) -> Path:
        """What ``status --probe`` shows to the account's endpoint (see ``worker.selfwake``)."""
        return self.reports / f"{account}.probe"

    def hooks(self, account: str) -> Path:
        """Where the hooks of the account's agent report to, and its key (see ``hook_token``)."""
        return self.reports / f"{account}.hooks.json"

    def heartbeat(self, program: str) -> Path:
        return self.heartbeats / program

    def lane(self, lane: str, suffix: str) -> Path:
        """A file of a lane's agent. A lane's name may hold any character: it becomes a digest."""
        name = hashlib.blake2b(lane.encode(), digest_size=8).hexdigest()
        return self.agents / f"{name}.{suffix}"

    def transcript(self, turn: int, attempt: int) -> Path:
        return self.turns / f"{turn}.{attempt}.log"

    def prepare(self) -> None:
        """Make the folder and its rooms, private to this user. Raises ``StateDirError``.

        A folder that is there already, open to others and holds something else, is refused: it
        is somebody's, and closing it would hurt them.
        """
        longest = len(os.fsencode(self.supervisor_socket))
        if longest > MAX_SOCKET_PATH:
            raise StateDirError(
                f"state folder {self.root}: its sockets' paths would be {longest} bytes long and"
                f" this system takes {MAX_SOCKET_PATH}; set RAFTSUP_STATE_DIR to a shorter path"
            )
        self._refuse_a_shared_folder()
        try:
            for room in (
                self.root,
                self.ledger,
                self.logs,
                self.reports,
                self.heartbeats,
                self.turns,
                self.agents,
            ):
                room.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = self.root.stat()
        except OSError as error:
            raise StateDirError(
                f"state folder {self.root}: {error.strerror}; make it writable for this user or"
                " set RAFTSUP_STATE_DIR to another"
            ) from error
        if info.st_uid != os.getuid():
            raise StateDirError(
                f"state folder {self.root} belongs to uid {info.st_uid}, this process is uid"
                f" {os.getuid()}; run as its owner or set RAFTSUP_STATE_DIR to another"
            )
        if stat.S_IMODE(info.st_mode) & 0o077:
            self.root.chmod(0o700)

    def _refuse_a_shared_folder(self) -> None:
        try:
            mode = stat.S_IMODE(self.root.stat().st_mode)
            names = {entry.name for entry in self.root.iterdir()}
        except OSError:
            return  # not there yet, or told of by what comes next
        if mode & 0o077 and names and self.lock.name not in names:
            raise StateDirError(
                f"state folder {self.root} is open to others and holds other things; raftsup"
                " needs one to itself: set RAFTSUP_STATE_DIR to a new or empty folder"
            )


def instance(environ: Mapping[str, str]) -> str:
    """``raftsup``, or ``raftsup-<name>`` for the instance that ``RAFTSUP_NAME`` names: its unit,
    and its folders where no other place is chosen. Raises ``StateDirError`` for a bad name.
    """
    name = environ.get("RAFTSUP_NAME", "")
    if name and not INSTANCE_NAME.fullmatch(name):
        raise StateDirError(
            f"instance {name!r}: a name has letters, digits, - and _, at most 32 and a letter or"
            " digit first; choose another with --name or RAFTSUP_NAME"
        )
    return f"raftsup-{name}" if name else "raftsup"


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """``RAFTSUP_STATE_DIR``, else the instance's folder in the XDG state folder."""
    if chosen := environ.get("RAFTSUP_STATE_DIR"):
        return Path(chosen).expanduser().absolute()
    return xdg(environ, "XDG_STATE_HOME", ".local/state") / instance(environ)


def default_config_path(environ: Mapping[str, str]) -> Path:
    """``RAFTSUP_CONFIG_PATH``, else ``<instance>/raftsup.json5`` in the XDG config folder."""
    if chosen := environ.get("RAFTSUP_CONFIG_PATH"):
        return Path(chosen).expanduser().absolute()
    return xdg(environ, "XDG_CONFIG_HOME", ".config") / instance(environ) / "raftsup.json5"


def throwaway(environ: Mapping[str, str]) -> Path:
    """The folder of this user's throwaway instance: one place, for other terminals to find."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "raftsup-dev"
    return Path(tempfile.gettempdir()) / f"raftsup-dev-{os.getuid()}"


def throwaway_variables(folder: Path) -> dict[str, str]:
    """The environment in which every command is about the throwaway instance: its places, and what
    it has left in ``environment.json`` (where it runs on a simulated Raft).
    """
    places = {
        "RAFTSUP_STATE_DIR": str(folder / "state"),
        "RAFTSUP_CONFIG_PATH": str(folder / "raftsup.json5"),
    }
    try:
        return {**places, **orjson.loads((folder / "environment.json").read_bytes())}
    except (OSError, orjson.JSONDecodeError):
        return places


def xdg(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    """A folder of the XDG base directory specification, by which a relative path counts for
    nothing; ``usual``: where it is within the home folder.
    """
    chosen = Path(environ.get(variable, "")).expanduser()
    home = Path(environ.get("HOME", "~")).expanduser()
    # Not the folder that the command happens to run in: the next one would find nothing.
    return chosen if chosen.is_absolute() else Path("/") / home / usual
