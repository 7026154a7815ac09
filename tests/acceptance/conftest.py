from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.acceptance.openclaw import STUCK, OpenClaw, gateway

_UNWELL = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with a Gateway are marked; one that fails by a Gateway's own trouble, and names it, is
    taken once more.
    """
    for item in items:
        if "shared_openclaw" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.openclaw)
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=list(STUCK)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.config.stash[_UNWELL] = True
    return report


@pytest.fixture(scope="session")
def shared_openclaw() -> Iterator[OpenClaw]:
    with gateway() as started:
        yield started


@pytest.fixture
def openclaw(shared_openclaw: OpenClaw, pytestconfig: pytest.Config) -> OpenClaw:
    """A real OpenClaw Gateway that runs, the same for all tests; see ``openclaw.py``."""
    if pytestconfig.stash.get(_UNWELL, False):
        # Whatever made a test fail: it shall not make the next one fail too.
        pytestconfig.stash[_UNWELL] = False
        shared_openclaw.stop()
    if shared_openclaw.gateway.pid is None:
        shared_openclaw.start()
    return shared_openclaw
