"""Speaking to the parent over supervisor's XML-RPC."""

from __future__ import annotations

import http.client
import xmlrpc.client
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from raftsup.paths import StateDir
from raftsup.supervisor import conf


class ParentDown(Exception):
    """No parent answers for this state folder."""


class ParentRefused(Exception):
    """The parent will not do it; the message says why."""


def call(state: StateDir, method: str, *args: object) -> Any:
    """``supervisor.<method>`` of the parent. Raises ``ParentDown`` or ``ParentRefused``."""
    access = conf.access(state)
    if access is None:
        raise ParentDown(f"raftsup has never run on {state.root}")
    transport = SupervisorTransport(access.username, access.password, access.url)
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        return getattr(proxy.supervisor, method)(*args)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == Faults.SHUTDOWN_STATE:
            raise ParentRefused("raftsup is stopping") from None
        raise ParentRefused(fault.faultString.partition(": ")[2] or fault.faultString) from None
    except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
        raise ParentDown(f"raftsup does not answer at {access.url}: {error}") from None
    finally:
        transport.close()
