"""When the bridge sends hints again. Pure: times go in, decisions come out.

- All that is pending: at the first heartbeat ``settle`` or more after a delivery, and every
  ``reconcile`` seconds.
- The failed ones: ``failed`` seconds after the failure, once; after that with the rest.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from raftsup.sim.timers import Timers


class Due(StrEnum):
    HEARTBEAT = "heartbeat"  # a heartbeat, and nothing to send again
    PENDING = "pending"  # all that the server has pending
    FAILED = "failed"  # what failed


class Schedule(NamedTuple):
    """Times on one monotonic clock, in seconds."""

    heartbeat_at: float
    reconcile_at: float
    #: The oldest delivery that no heartbeat has followed up.
    delivered_at: float | None = None
    failed_at: float | None = None

    def next_at(self, timers: Timers) -> float:
        """When ``due`` has something to say next."""
        ahead = min(self.heartbeat_at, self.reconcile_at)
        return ahead if self.failed_at is None else min(ahead, self.failed_at + timers.failed)


def begin(now: float, timers: Timers) -> Schedule:
    return Schedule(now + timers.heartbeat, now + timers.reconcile)


def delivered(schedule: Schedule, now: float) -> Schedule:
    """A new hint was injected."""
    return schedule if schedule.delivered_at is not None else schedule._replace(delivered_at=now)


def failed(schedule: Schedule, now: float) -> Schedule:
    """A new hint was not."""
    return schedule if schedule.failed_at is not None else schedule._replace(failed_at=now)


def due(schedule: Schedule, now: float, timers: Timers) -> tuple[Due | None, Schedule]:
    """What to do now, and the schedule after it was done."""
    if now >= schedule.reconcile_at:
        return Due.PENDING, schedule._replace(
            reconcile_at=now + timers.reconcile, delivered_at=None, failed_at=None
        )
    if schedule.failed_at is not None and now >= schedule.failed_at + timers.failed:
        return Due.FAILED, schedule._replace(failed_at=None)
    if now >= schedule.heartbeat_at:
        beaten = schedule._replace(heartbeat_at=now + timers.heartbeat)
        if schedule.delivered_at is None or now < schedule.delivered_at + timers.settle:
            return Due.HEARTBEAT, beaten
        return Due.PENDING, beaten._replace(delivered_at=None)
    return None, schedule
