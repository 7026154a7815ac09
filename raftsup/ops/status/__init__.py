"""``raftsup status``: found out, judged and shown."""

from __future__ import annotations

from raftsup.ops.status.collect import (
    accounts_of,
    all_ready,
    collect,
    host_trouble,
    look,
    readiness,
)

__all__ = ["accounts_of", "all_ready", "collect", "host_trouble", "look", "readiness"]
