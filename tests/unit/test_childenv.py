"""What bridges and turns see of the operator's environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.childenv import clean_env

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
    "RAFT_EXPECTED_AGENT_ID",
    "RAFT_AGENT_TOKEN",
    "SLOCK_AGENT_ID",
    "SUPERVISOR_SERVER_URL",
    "SUPERVISOR_ENABLED",
    "RAFTSUP_STATE_DIR",
    "PYTHONPATH",
    "LD_PRELOAD",
]


def test_what_a_cli_needs_comes_through() -> None:
    assert clean_env(NEEDED) == NEEDED


@pytest.mark.parametrize("name", SECRET)
def test_keys_tokens_and_variables_of_other_programs_stay_out(name: str) -> None:
    assert clean_env({**NEEDED, name: "secret"}) == NEEDED


@given(st.dictionaries(st.text(), st.text()))
def test_nothing_is_added_or_changed(environ: dict[str, str]) -> None:
    assert clean_env(environ).items() <= environ.items()
