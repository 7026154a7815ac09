from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.openclaw import OpenClaw, gateway


@pytest.fixture(scope="session")
def shared_openclaw() -> Iterator[OpenClaw]:
    with gateway() as started:
        yield started


@pytest.fixture
def openclaw(shared_openclaw: OpenClaw) -> OpenClaw:
    """A real OpenClaw Gateway that runs, the same for all tests; see ``openclaw.py``."""
    if shared_openclaw.gateway.pid is None:
        shared_openclaw.start()
    return shared_openclaw
