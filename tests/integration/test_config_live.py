"""``raftsup config check --live``: the agents of a config, tried from the command line."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from raftsup import exit_codes
from tests.integration.host import Host, running

SECRET = "k3y-that-is-shown-nowhere"


@pytest.fixture
def host() -> Iterator[Host]:
    with running(("support", "sales", "third")) as host:
        yield host


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else listens there, and where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def live(host: Host) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, what was found, and all that was printed; in both forms the same."""
    told = host.run("config", "check", "--live", "--json")
    for_people = host.run("config", "check", "--live")
    assert told.returncode == for_people.returncode, for_people.stdout
    found: list[dict[str, Any]] = json.loads(told.stdout)["live"]
    for one in found:
        assert list(one) == ["kind", "accounts", "findings"]
        assert f"agent {one['kind']}, for {', '.join(one['accounts'])}:\n" in for_people.stdout
        for finding in one["findings"]:
            word = "good" if finding["good"] else "FAIL"
            assert f"  {word}  {finding['text']}\n" in for_people.stdout
    said = told.stdout + told.stderr + for_people.stdout + for_people.stderr
    assert "Traceback" not in said
    return told.returncode, found, said


def agent(host: Host, **settings: Any) -> tuple[int, dict[str, Any], str]:
    """The exit code and the last finding of one agent with ``settings``; what was printed."""
    host.configure({"support": {"agent": settings}})
    code, (one,), said = live(host)
    assert (one["kind"], one["accounts"]) == (settings["kind"], ["support"])
    assert SECRET not in said
    return code, one["findings"][-1], said


def test_agents_that_are_there_are_good_and_accounts_that_share_one_are_tried_once(
    host: Host,
) -> None:
    other = {"kind": "command", "command": ["sh", "-c", "true"], "env": {"KEY": SECRET}}
    host.configure({"support": {}, "sales": {"agent": other}, "third": {}})
    code, found, said = live(host)
    assert code == exit_codes.OK
    assert [one["accounts"] for one in found] == [["support", "third"], ["sales"]]
    assert SECRET not in said


def test_each_profile_is_asked_whose_it_is(host: Host) -> None:
    host.configure({"support": {}, "sales": {"profile": "nobody"}, "third": {"agentId": "agent-x"},
                    "off": {"profile": "none-either", "enabled": False}})  # fmt: skip
    assert host.run("config", "check").returncode == exit_codes.OK
    done = host.run("config", "check", "--live")
    assert done.returncode == exit_codes.NOT_READY
    for line in (
        "  good  account support: profile support is signed in as agent-support on ",
        "  FAIL  account sales: profile nobody cannot be asked whose it is: ",
        "agent login --server ",
        "  FAIL  account third: its agentId is agent-x, and profile third is signed in as agent-",
        "fix: `raftsup setup --account third --profile third --agent-id agent-third",
    ):
        assert line in done.stdout, done.stdout
    assert "none-either" not in done.stdout
    told = json.loads(host.run("config", "check", "--live", "--json").stdout)["profiles"]
    assert [one["severity"] for one in told] == ["good", "fail", "fail"]


def test_one_agent_of_two_accounts_is_told_without_asking_anybody(host: Host) -> None:
    host.configure({"support": {}, "sales": {"agentId": "agent-support"}})
    done = host.run("config", "check", PATH="/nowhere")
    assert "warning: it is the Raft agent agent-support, and so is sales" in done.stdout
    live = host.run("config", "check", "--live")
    assert live.returncode == exit_codes.NOT_READY
    assert "profile sales is signed in as agent-sales" in live.stdout


def test_one_bad_agent_makes_the_check_fail_and_the_others_are_still_tried(host: Host) -> None:
    missing = {"kind": "command", "command": ["no-such-agent-7f3"]}
    host.configure({"support": {"agent": missing}, "sales": {}})
    code, found, _ = live(host)
    assert code == exit_codes.NOT_READY
    assert [one["findings"][-1]["good"] for one in found] == [False, True]
    assert host.run("config", "check").returncode == exit_codes.OK, (
        "without --live nothing is tried"
    )


def test_a_config_that_runs_no_account_says_that_nothing_was_tried(host: Host) -> None:
    host.configure({"support": {"enabled": False}})
    assert live(host) == (exit_codes.OK, [], live(host)[2])
    assert "no agent was tried: no account runs\n" in host.run("config", "check", "--live").stdout
    assert "tried" not in host.run("config", "check").stdout


@pytest.mark.parametrize("kind", ["command", "acp"])
def test_a_program_or_folder_that_is_missing_is_named_with_what_to_do(
    host: Host, kind: str
) -> None:
    code, found, _ = agent(host, kind=kind, command=["no-such-agent-7f3"], env={"KEY": SECRET})
    assert (code, found["good"]) == (exit_codes.NOT_READY, False)
    assert found["text"].startswith("there is no program no-such-agent-7f3 on the PATH (")
    assert found["text"].endswith("); write its whole path")
    gone = str(host.root / "gone")
    code, found, _ = agent(host, kind=kind, command=["sh"], cwd=gone)
    assert code == exit_codes.NOT_READY
    assert found["text"] == f"there is no folder {gone}; make it, or change cwd"


def test_a_program_that_does_not_speak_acp_is_told_of_and_ended(host: Host) -> None:
    code, found, _ = agent(host, kind="acp", command=["yes", "prattle"], env={"KEY": SECRET})
    assert (code, found["good"]) == (exit_codes.NOT_READY, False)
    assert "lines to standard output that are no JSON-RPC" in found["text"]
    assert "prattle" not in found["text"], "what an agent prints may be anything"
    left = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["yes", "prattle"]]
    assert not left


def test_an_endpoint_where_nobody_answers_is_told_of_without_its_key(host: Host) -> None:
    with closed_port() as port:
        code, found, _ = agent(
            host, kind="openai", baseUrl=f"http://127.0.0.1:{port}/v1", model="m", apiKey=SECRET,
            headers={"X-Key": SECRET},
        )  # fmt: skip
    assert (code, found["good"]) == (exit_codes.NOT_READY, False)
    assert f"127.0.0.1:{port}" in found["text"] and "refused" in found["text"].lower()


@pytest.mark.parametrize("key", ["token", "password"])
def test_a_gateway_where_nobody_answers_is_told_of_without_its_key(host: Host, key: str) -> None:
    with closed_port() as port:
        url = f"ws://127.0.0.1:{port}"
        code, found, _ = agent(host, kind="openclaw", url=url, **{key: SECRET})
    assert (code, found) == (
        exit_codes.NOT_READY,
        {"good": False, "text": f"the Gateway {url}: it cannot be reached: Connection refused;"
                                " does it run there?"},
    )  # fmt: skip
    assert host.state.device_key.stat().st_mode & 0o777 == 0o600


def test_what_is_no_gateway_is_told_of(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"ws://127.0.0.1:{server.getsockname()[1]}"
        code, found, _ = agent(host, kind="openclaw", url=url, token=SECRET)
        thread.join(20)
    assert code == exit_codes.NOT_READY
    assert "it answered HTTP 404: is it the Gateway's address?" in found["text"]


def test_a_config_that_cannot_be_used_is_told_before_anything_is_tried(host: Host) -> None:
    host.configure({"support": {"agent": {"kind": "openclaw", "token": SECRET}}})
    done = host.run("config", "check", "--live")
    assert (done.returncode, done.stdout) == (exit_codes.CONFIG, "")
    assert SECRET not in done.stderr
    assert not host.state.root.exists()
