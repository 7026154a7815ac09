"""What bridges and turns see of the operator's environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.proc.env import clean_env

NEEDED = {
    "PATH": "/bin",
    "HOME": "/home/o",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "TZ": "UTC",
    "HTTPS_PROXY": "http://proxy.invalid",
    "no_proxy": "localhost",
    "SSL_CERT_FILE": "/certs",
    "NODE_EXTRA_CA_CERTS": "/certs",
    "RAFT_HOME": "/home/o/.raft",
    "SLOCK_HOME": "/home/o/.slock",
    "RAFT_PROFILE_DIR": "/profiles/one",
    "SLOCK_PROFILE_DIR": "/profiles/one",
}
SECRET = [
    "ANTHROPIC_API_KEY",
    "OPENCLAW_GATEWAY_TOKEN",
    "RAFT_CHANNEL_TOKEN",
    "RAFT_PROFILE",
    "SLOCK_PROFILE",
    "RAFT_EXPECTED_AGENT_ID",
    "RAFT_AGENT_TOKEN",
    "SLOCK_AGENT_ID",
    "SUPERVISOR_SERVER_URL",
    "SUPERVISOR_ENABLED",
    "RAFTSUP_STATE_DIR",
    "PYTHONPATH",
    "LD_PRELOAD",
]


EVERY = "localhost,127.0.0.1,::1"


def expected() -> dict[str, str]:
    return {**NEEDED, "no_proxy": EVERY, "NO_PROXY": EVERY}


def test_what_a_cli_needs_comes_through_and_loopback_is_asked_directly() -> None:
    assert clean_env(NEEDED) == expected()
    assert clean_env({"ALL_PROXY": "socks5://p", "NO_PROXY": "a.example, 127.0.0.1"}) == {
        "ALL_PROXY": "socks5://p",
        "NO_PROXY": "a.example,127.0.0.1,localhost,::1",
        "no_proxy": "a.example,127.0.0.1,localhost,::1",
    }
    both = clean_env({"HTTP_PROXY": "p", "no_proxy": "a,b", "NO_PROXY": "b,c"})
    assert both["NO_PROXY"] == both["no_proxy"] == "a,b,c,127.0.0.1,localhost,::1"
    assert clean_env({"PATH": "/bin", "NO_PROXY": "x"}) == {"PATH": "/bin", "NO_PROXY": "x"}


@pytest.mark.parametrize("name", SECRET)
def test_keys_tokens_and_variables_of_other_programs_stay_out(name: str) -> None:
    assert clean_env({**NEEDED, name: "secret"}) == expected()


@given(st.dictionaries(st.text().filter(lambda name: "proxy" not in name.lower()), st.text()))
def test_nothing_is_added_or_changed(environ: dict[str, str]) -> None:
    assert clean_env(environ).items() <= environ.items()
