"""What ``agent login`` makes of a server's answers that the simulated one does not give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from raftsup.sim import login
from raftsup.sim.agent_api import ApiAnswer
from raftsup.sim.cli_errors import CliError
from raftsup.sim.usage import Given

WORDS = {"server": "http://raft", "agent": "a", "device_code": "d", "profile_slug": None}
GOOD: dict[str, dict[str, Any]] = {
    "/api/auth/device/authorize": {"deviceCode": "d", "userCode": "u", "verificationUri": "/d"},
    "/api/auth/device/token": {"accessToken": "t", "refreshToken": "r", "userId": "ann"},
}


def given(action: str) -> Given:
    return Given(command=("agent", "login", action), operands=[], **WORDS)


@pytest.mark.parametrize(
    ("action", "path", "answer", "code", "told"),
    [
        ("start", "/api/auth/device/authorize", ApiAnswer(200, {"deviceCode": "d"}, None),
         "authorize_response_invalid",
         "^Server's authorize response was missing deviceCode / userCode / verificationUri.$"),
        ("start", "/api/auth/device/authorize", ApiAnswer(403, None, "no", "device_login_disabled"),
         "device_login_disabled", "SLOCK_DEVICE_LOGIN_ENABLED=true"),
        ("wait", "/api/auth/device/token", ApiAnswer(200, None, None),
         "token_response_invalid",
         "^Server's token response was missing accessToken / refreshToken / userId.$"),
        ("wait", "/api/auth/device/token", ApiAnswer(410, None, "no", "device_code_consumed"),
         "device_code_consumed", "already been used"),
        ("wait", "/api/agents/a/credentials", ApiAnswer(200, {"apiKey": "k"}, None),
         "mint_response_invalid",
         "^Server mint response was missing apiKey / agentId / serverId.$"),
        ("wait", "/api/agents/a/credentials", ApiAnswer(403, None, "no", "insufficient_role"),
         "insufficient_role", "they can't mint agent credentials"),
        ("wait", "/api/agents/a/credentials", ApiAnswer(400, None, "no", "scopes_empty"),
         "scopes_empty", "Re-run with default flags"),
        ("wait", "/api/agents/a/credentials", ApiAnswer(500, None, "HTTP 500"),
         "mint_failed_500", r"\(status 500\)"),
    ],
)  # fmt: skip
def test_an_answer_that_signs_nobody_in_has_its_code(
    monkeypatch: pytest.MonkeyPatch, action: str, path: str, answer: ApiAnswer, code: str, told: str
) -> None:
    def ask(server: str, method: str, asked: str, *rest: object, **more: object) -> ApiAnswer:
        return answer if asked == path else ApiAnswer(200, GOOD[asked], None)

    monkeypatch.setattr(login, "_ask", ask)
    environ: Mapping[str, str] = {"RAFT_HOME": "/nowhere"}
    with pytest.raises(CliError, match=told) as refused:
        login.run(given(action), environ)
    assert refused.value.code == code
