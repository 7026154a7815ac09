"""Holding and freeing the lanes of a running host."""

from __future__ import annotations

from raftsup.dispatcher import control_client
from raftsup.dispatcher import status as dispatcher_status
from raftsup.dispatcher.scheduler import ALL
from raftsup.errors import RaftsupError
from raftsup.paths import StateDir


class NoSuchAccount(RaftsupError):
    """The running host has no such account."""


def hold(state: StateDir, account: str | None, *, paused: bool) -> tuple[str, ...]:
    """Pause or resume the account's lane (None: every lane); the accounts that this is about.

    Raises ``NoSuchAccount``, ``control_client.DispatcherDown`` and ``DispatcherRefused``.
    """
    lane_of = dispatcher_status.ask(state.dispatcher_socket)["laneOf"]
    if account is not None and account not in lane_of:
        raise NoSuchAccount(f"no account {account}; there are {', '.join(lane_of) or 'none'}")
    lane = ALL if account is None else lane_of[account]
    control_client.request(state.dispatcher_socket, "pause" if paused else "resume", lane=lane)
    return tuple(name for name, its in lane_of.items() if lane in (ALL, its))
