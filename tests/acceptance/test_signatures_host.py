"""One host whose accounts are each ill in a way of their own (see ``test_signatures.py``): what
``status``, ``doctor`` and ``logs`` say of each, and that each is well once it is fixed as told.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from raftsup import exit_codes
from tests.acceptance.ward import ALL, LONG, STATUS, TALK, WRONG, Ward, admitted, configure, ready
from tests.integration.host import Host, wait_for

#: By account, the check of `doctor` that tells of it, what it finds, and what fixes it.
DOCTOR = {
    "default": ("config", "no Raft CLI profile", "fix it in "),
    "noid": ("profiles", "it has no agentId", "agentId"),
    "revoked": (
        "host",
        "BRIDGE_WAKE_STREAM_FAILED",
        "--agent agent-revoked --profile-slug revoked",
    ),
    "deaf": ("host", "SERVER_5XX: injected", "raftsup logs deaf"),
    "shared": ("other bridges", "below another raftsup", "stop the other host"),
    "token": ("agents", "it does not take this token", "gateway.auth.token"),
    "away": ("agents", "it cannot be reached: Connection refused", "does it run there?"),
    "mute": ("turns", "whether its agent sent a reply, only Raft knows", ""),
}
#: Those whose bridge is tried again, the longer the later.
BRIDGELESS = ("revoked", "dies", "deaf", "shared")
#: By account, what `logs` have of it.
LOGS = {
    "noid": "Code: BRIDGE_EXPECTED_AGENT_REQUIRED",
    "revoked": "Code: BRIDGE_WAKE_STREAM_FAILED",
    "dies": "Error: Unexpected error: terminated",
    "deaf": "bridge: transient failure (SERVER_5XX: injected); retry #",
    "shared": "Code: BRIDGE_ALREADY_RUNNING",
}


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    with admitted() as ward:
        yield ward


@pytest.mark.parametrize("account", STATUS)
def test_status_says_what_an_account_lacks_and_what_to_do(ward: Ward, account: str) -> None:
    assert not [w for w in STATUS[account] if w not in ward.reasons[account]], ward.reasons[account]
    assert WRONG not in ward.reasons[account]


def test_one_screen_shows_who_is_ready_and_the_exit_code_that_not_all_are(ward: Ward) -> None:
    assert ward.status.returncode == exit_codes.NOT_READY
    for line in ("well +ready +listening", "default +misconfigured", "token +degraded"):
        assert re.search(f"^{line} ", ward.status.stdout, re.MULTILINE), ward.status.stdout
    assert TALK not in ward.status.stdout and WRONG not in ward.status.stdout
    assert WRONG not in ward.host.said()


@pytest.mark.parametrize("account", DOCTOR)
def test_the_doctor_finds_it_with_what_fixes_it(ward: Ward, account: str) -> None:
    check, what, fix = DOCTOR[account]
    assert ward.doctor.returncode == exit_codes.UNWELL and not ward.doctor.stderr
    assert WRONG not in ward.doctor.stdout
    (found,) = [f for f in ward.findings if f["check"] == check and _of(account, f["what"])]
    # The command to type, and what to do besides or without one.
    fixes = f"{found['fix']} {found.get('advice', '')}".strip()
    assert what in found["what"] and fix in fixes, found
    assert (found["severity"] == "good") is not bool(fixes)


def _of(account: str, what: str) -> bool:
    named = (f"account {account}:", f"account {account} is ")
    return any(words in what for words in named) or what.endswith(f"of {account}") or (
        f"of {account}: " in what
    )  # fmt: skip


@pytest.mark.parametrize("account", LOGS)
def test_the_clis_own_words_are_in_the_logs(ward: Ward, account: str) -> None:
    shown = ward.host.run("logs", account, "-n", "1000")
    assert shown.returncode == exit_codes.OK
    assert "action=bridge.said" in shown.stdout and LOGS[account] in shown.stdout


def test_managed_variables_of_the_shell_keep_no_bridge_from_running(ward: Ward) -> None:
    """PROFILE_MANAGED_CONTEXT_CONFLICT cannot come: no child has them."""
    assert "PROFILE_MANAGED_CONTEXT_CONFLICT" not in ward.host.said()
    bridge = psutil.Process(ward.host.account("well")["bridge"]["pid"])
    assert not bridge.environ().keys() & {"SLOCK_AGENT_ID", "RAFT_AGENT_ID"}


def test_wherever_the_environment_points_everything_listens_on_loopback(ward: Ward) -> None:
    host = psutil.Process(ward.host.parent())
    places = set()
    for process in (host, *host.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a bridge that died just now
            found = process.net_connections("inet")
            places |= {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}
    assert places == {"127.0.0.1"}


def test_a_turn_that_sent_no_reply_is_done_and_what_its_agent_said_is_in_its_transcript(
    ward: Ward,
) -> None:
    host = ward.host
    (*_, turn) = json.loads(host.run("turn", "list", "mute", "--json").stdout)
    assert turn["state"] == "done"
    shown = host.run("turn", "show", str(turn["turn"]), "--transcript")
    assert shown.returncode == exit_codes.OK and TALK in shown.stdout
    assert TALK not in {reply.text for reply in host.raft.workspace.replies()}
    assert TALK not in host.said()


#: What is no wake of this endpoint's bridge: the body, the headers, and the words of its refusal.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], int, str]] = {
    "no token": ({"id": 1}, {"x-raft-bridge-token": ""}, 401,
                 "only the bridge that this worker started has it"),
    "another host": ({"id": 1}, {"host": "raft.example"}, 403, "the Host header must be this"),
    "content": ({"id": 1, "Text": TALK}, {}, 400, "a wake must be content-free"),
    "no identity": ({"schema": "raft-channel-wake.v1"}, {}, 400, "no identity: one of eventId"),
}  # fmt: skip


def wake(
    host: Host, payload: dict[str, Any], headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, dict[str, Any]]:
    """The answer to what the bridge of ``well`` would POST."""
    ready(host, "well")
    account = host.account("well")
    token = psutil.Process(account["bridge"]["pid"]).environ()["RAFT_CHANNEL_TOKEN"]
    port = urlsplit(account["endpoint"]["url"]).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        sent = {"x-raft-bridge-token": token, "content-type": "application/json", **headers}
        connection.request("POST", "/wake", json.dumps(payload), sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_wake_is_refused_in_words_that_the_logs_have_as_well(
    ward: Ward, case: str
) -> None:
    payload, headers, status, words = REFUSED[case]
    accepted = ward.host.account("well")["wakes"]["accepted"]
    answered, told = wake(ward.host, payload, headers)
    assert answered == status and words in told["error"]
    shown = ward.host.run("logs", "well", "--level", "warning", "-n", "1000").stdout
    (line,) = [x for x in shown.splitlines() if words in x]
    assert f"action=endpoint.refused status={status}" in line and TALK not in shown
    assert ward.host.account("well")["wakes"]["accepted"] == accepted


def test_a_wake_that_comes_again_after_a_restart_is_told_as_a_duplicate(ward: Ward) -> None:
    host = ward.host
    hint = {"eventId": "event_again", "messageId": "message_again"}
    accepted = host.account("well")["wakes"]["accepted"]
    assert wake(host, hint)[0] == 202
    worker = host.account("well")["endpoint"]["pid"]
    assert host.run("ctl", "restart", "well").returncode == exit_codes.OK
    wait_for(lambda: host.account("well")["endpoint"]["pid"] not in (None, worker), LONG)
    status, told = wake(host, hint)
    assert (status, told.get("duplicate")) == (202, True)
    wakes = host.account("well")["wakes"]
    assert (wakes["accepted"], wakes["duplicates"]) == (accepted + 1, 1)
    assert "action=wake.duplicate" in host.run("logs", "well", "-n", "1000").stdout


def test_each_is_well_again_once_it_is_fixed_as_it_was_told(ward: Ward) -> None:
    host = ward.host
    others = json.loads(host.run("status", "--deep", "--json").stdout)["others"]
    (second,) = [o for o in others if o["path"] == str((host.root / "o").resolve())]
    command = shlex.split(second["hint"].split("`")[1])
    assert command[:2] == ["raftsup", "stop"]
    assert host.run(*command[1:]).returncode == exit_codes.OK
    ward.gateways.start(ward.asleep)
    host.raft.clear_faults()  # signed in again, and Raft answers
    configure(host, ward.strict, ward.asleep, fixed=True)
    assert host.run("reload").returncode == exit_codes.OK
    # Not to wait for the next try of each, which may be minutes away by now.
    assert host.run("ctl", "restart", *BRIDGELESS).returncode == exit_codes.OK
    ready(host)
    assert host.run("status").returncode == exit_codes.OK
    for name in ALL:
        host.raft.workspace.post(name, f"to {name}")
    wanted = {f"echo: to {name}" for name in ALL if name not in ("token", "away")}
    replies = host.raft.workspace.replies
    wait_for(lambda: wanted <= {r.text for r in replies()}, LONG, what="an answer of each")
    for fake in (ward.strict, ward.asleep):
        wait_for(lambda fake=fake: fake.runs, LONG, what="a run at the Gateway")
