"""Through which proxy the simulated CLI asks, by the variables that the true one reads."""

from __future__ import annotations

import pytest

from raftsup.sim.proxy import via

PROXY = "http://p:1"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_is_for_loopback_too(name: str) -> None:
    assert via("http://127.0.0.1:7", {name: PROXY}) == PROXY


def test_without_a_proxy_of_its_kind_the_server_is_asked_itself() -> None:
    assert via("http://127.0.0.1:7", {"HTTPS_PROXY": PROXY, "HTTP_PROXY": ""}) is None


@pytest.mark.parametrize(
    ("rules", "spared"),
    [
        ("127.0.0.1", True),
        ("a.test, 127.0.0.1:7", True),
        ("127.0.0.1:8", False),
        ("*", True),
        ("27.0.0.1", False),
        ("0.0.1", True),
        ("::1", False),
        ("", False),
    ],
)
def test_what_no_proxy_names_is_asked_itself(rules: str, spared: bool) -> None:
    found = via("http://127.0.0.1:7/x", {"HTTP_PROXY": PROXY, "NO_PROXY": rules})
    assert (found is None) is spared


def test_a_domain_spares_what_is_below_it() -> None:
    environ = {"HTTP_PROXY": PROXY, "no_proxy": "*.raft.test"}
    assert via("http://a.raft.test/", environ) is None
    assert via("http://araft.test/", environ) == PROXY
