"""Speaking to the parent over supervisor's XML-RPC."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import Any

from raftsup import exit_codes
from raftsup.errors import RaftsupError
from raftsup.paths import StateDir
from raftsup.proc import liveness, lockfile
from raftsup.supervisor import supervisord_conf
from raftsup.supervisor._compat import Faults
from raftsup.supervisor._compat import transport as transport_to


class ParentDown(RaftsupError):
    """No parent answers for this state folder."""

    exit_code = exit_codes.NOT_RUNNING


class ParentSilent(ParentDown):
    """It took the question and gave no answer in time."""


class ParentStopped(ParentSilent):
    """It is stopped by a signal: nothing would be the answer, after all of the time."""


class ParentRefused(RaftsupError):
    """The parent will not do it; the message says why."""


class ParentEnds(ParentRefused):
    """The host drains, stops or restarts: nothing can be changed any more."""


def answers(state: StateDir) -> bool:
    """Whether a parent answers."""
    try:
        call(state, "getState")
    except (ParentDown, ParentRefused):
        return False
    return True


def call(state: StateDir, method: str, *args: object, patience: float = 30.0) -> Any:
    """``supervisor.<method>`` of the parent, which may take ``patience`` seconds for each step.

    Raises ``ParentDown``, as ``ParentSilent`` when they are over, or ``ParentRefused``.
    """
    parent = lockfile.holder(state.lock)
    if parent is not None and liveness.stopped(parent):
        raise ParentStopped(f"the host can do nothing: {liveness.by_signal(parent)}")
    access = supervisord_conf.access(state)
    if access is None and state.supervisord_conf.exists():
        spoilt = f"{state.supervisord_conf} cannot be read; `raftsup up` writes it anew"
        raise ParentDown(spoilt)
    if access is None:
        raise ParentDown(f"raftsup has never run on {state.root}")
    url = access.url
    transport = transport_to(
        access.username, access.password, url, lambda: _Connection(url, patience)
    )
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        return getattr(proxy.supervisor, method)(*args)
    except xmlrpc.client.Fault as fault:
        why = fault.faultString.partition(": ")[2] or fault.faultString
        ends = fault.faultCode == Faults.SHUTDOWN_STATE
        raise (ParentEnds if ends else ParentRefused)(why) from None
    except TimeoutError:
        raise ParentSilent(
            f"raftsup gives no answer at {access.url} in {patience:g} s: it hangs, or is stopped"
        ) from None
    except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
        raise ParentDown(f"raftsup does not answer at {access.url}: {error}") from None
    finally:
        transport.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over the Unix socket of ``url`` (``unix://<path>``)."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = url.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
