"""The launchd property list of an instance (macOS)."""

from __future__ import annotations

import plistlib
import shlex

from raftsup.ops.service.spec import Described, Scope
from raftsup.ops.service.systemd import MARKER


def text(service: Described) -> str:
    """The property list. launchd reads no file of variables, so a shell does."""
    secrets = shlex.quote(str(service.secrets))
    start = f"set -a; [ ! -r {secrets} ] || . {secrets}; set +a; exec {shlex.join(service.command)}"
    tree: dict[str, object] = {
        "Label": service.unit,
        "ProgramArguments": ["/bin/sh", "-c", f"{start} up --quiet"],
        "EnvironmentVariables": service.variables(),
        "RunAtLoad": True,
        # A clean end (raftsup stop, drain) was asked for and stays.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        # Seconds for running turns to drain before SIGKILL.
        "ExitTimeOut": service.stop,
        "SoftResourceLimits": {"NumberOfFiles": 8192},
    }
    if service.scope is Scope.SYSTEM:
        tree["UserName"] = service.user
    else:
        # What a start that fails says; the host's own log is in the same folder.
        tree["StandardErrorPath"] = str(service.state / "logs" / "launchd.log")
    written = plistlib.dumps(tree, sort_keys=False).decode()
    return written.replace("<plist", f"<!-- {MARKER} -->\n<plist", 1)


def variable(plist: str, name: str) -> str | None:
    """What a property list's text sets ``name`` to."""
    try:
        value = plistlib.loads(plist.encode()).get("EnvironmentVariables", {}).get(name)
    except (plistlib.InvalidFileException, ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None
