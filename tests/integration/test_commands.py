"""The commands on a running host: status, reload, ctl."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from raftsup import __version__, exit_codes
from raftsup.cli.main import main
from raftsup.ops import reload as ops_reload
from raftsup.ops import rpc
from tests.integration.host import AGENT, RAFT, RAFTSUP, Host, running, wait_for

STATES = {"ready", "starting", "degraded", "down", "disabled", "misconfigured"}
#: As the issue says it: each key and what may stand there.
ACCOUNT_SHAPE: dict[str, Any] = {
    "account": str,
    "profile": (str, type(None)),
    "agent": (str, type(None)),
    "state": str,
    "reason": str,
    "endpoint": {"url": (str, type(None)), "pid": (int, type(None)), "restarts": int},
    "bridge": {
        "state": str,
        "pid": (int, type(None)),
        "restarts": int,
        "lastExit": (str, type(None)),
        "lastError": (str, type(None)),
        "heardAt": (float, type(None)),
        "heardAgo": (float, type(None)),
        "graceUntil": (float, type(None)),
        "log": (str, type(None)),
    },
    "wakes": {
        "accepted": int,
        "duplicates": int,
        "rejected": int,
        "lastAt": (float, type(None)),
    },
    "turns": {
        "queued": int,
        "running": int,
        "done": int,
        "failed": int,
        "unanswered": list,
        "last": (dict, type(None)),
    },
}
SHAPE: dict[str, Any] = {
    "version": str,
    "stateDir": str,
    "supervisor": {"state": str, "pid": (int, type(None)), "reason": str},
    "dispatcher": {"state": str, "pid": (int, type(None)), "reason": str, "restarts": int},
    "ledger": {"reason": str},
    "config": (dict, type(None)),
    "source": str,
    "at": float,
    "accounts": list,
    "removed": list,
    "raft": {"reason": str},
}


@pytest.fixture
def host() -> Iterator[Host]:
    with running() as host:
        yield host


@pytest.fixture(scope="module")
def calm() -> Iterator[Host]:
    """One running host for the tests that change nothing in it, or put it back."""
    with running() as host:
        host.up()
        host.ready()
        yield host


def check_shape(value: object, shape: Any) -> None:
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        assert list(value) == list(shape), "exactly these keys, in this order"
        for key, part in shape.items():
            check_shape(value[key], part)
    else:
        assert isinstance(value, shape)
        assert not isinstance(value, bool)


def status(host: Host) -> tuple[int, dict[str, Any]]:
    done = host.run("status", "--json")
    assert not done.stderr
    found = json.loads(done.stdout)
    check_shape(found, SHAPE)
    for account in found["accounts"]:
        check_shape(account, ACCOUNT_SHAPE)
        assert account["state"] in STATES
        assert bool(account["reason"]) is (account["state"] != "ready")
    return done.returncode, found


def workers(host: Host) -> dict[str, tuple[int, int]]:
    """The pids of worker and bridge of each account."""
    return {
        a["account"]: (a["endpoint"]["pid"], a["bridge"]["pid"])
        for a in host.status()["accounts"]
        if a["state"] not in ("disabled", "misconfigured")
    }


# status


def test_status_of_a_host_that_never_ran_is_whole_and_not_ready(host: Host) -> None:
    code, found = status(host)
    assert code == exit_codes.NOT_READY
    assert found["supervisor"] == {"state": "stopped", "pid": None, "reason": ""}
    assert found["dispatcher"] == {"state": "stopped", "pid": None, "reason": "", "restarts": 0}
    assert {a["state"] for a in found["accounts"]} == {"down"}
    assert not host.state.root.exists(), "a look changes nothing"


def test_status_of_a_running_host_names_processes_that_live(calm: Host) -> None:
    code, found = status(calm)
    assert code == exit_codes.OK
    assert found["version"] == __version__
    assert found["stateDir"] == str(calm.state.root)
    assert found["supervisor"] == {"state": "running", "pid": calm.parent(), "reason": ""}
    titles = {"dispatcher": found["dispatcher"]["pid"]}
    for account in found["accounts"]:
        titles[f"accounts:{account['account']}"] = account["endpoint"]["pid"]
        assert account["endpoint"]["url"].startswith("http://127.0.0.1:")
        assert "bridge" in psutil.Process(account["bridge"]["pid"]).cmdline()
    for title, pid in titles.items():
        assert psutil.Process(pid).cmdline()[0] == f"raftsup: {title}"


def test_status_after_a_stop_believes_no_report_of_the_dead(host: Host) -> None:
    host.up()
    host.ready()
    host.run("stop")
    code, found = status(host)
    assert code == exit_codes.NOT_READY
    for account in found["accounts"]:
        assert account["state"] == "down"
        assert account["endpoint"] == {"url": None, "pid": None, "restarts": 0}
        assert account["bridge"]["pid"] is None
        assert account["bridge"]["state"] == "stopped"


def test_only_the_enabled_accounts_decide_the_exit_code(host: Host) -> None:
    host.configure({"support": {}, "off": {"enabled": False}})
    host.up()
    host.ready("support")
    code, found = status(host)
    assert code == exit_codes.OK
    assert [a["state"] for a in found["accounts"]] == ["ready", "disabled"]
    host.configure({"support": {}, "bad": {"profile": ""}})
    assert host.run("reload").returncode == exit_codes.OK
    code, found = status(host)
    assert code == exit_codes.NOT_READY
    assert [a["state"] for a in found["accounts"]] == ["ready", "misconfigured"]


def test_an_account_that_is_not_in_the_running_host_yet_says_so(host: Host) -> None:
    host.configure({"support": {}})
    host.up()
    host.ready("support")
    host.configure({"support": {}, "sales": {}})
    code, found = status(host)
    assert code == exit_codes.NOT_READY
    assert found["accounts"][1]["state"] == "down"
    assert "raftsup reload" in found["accounts"][1]["reason"]


def test_a_missing_cli_degrades_just_its_account_and_says_what_to_do(host: Host) -> None:
    host.configure({"support": {}, "sales": {"command": ["no-such-raft"]}})
    host.up()
    host.ready("support")
    account = wait_for(
        lambda: next(
            (a for a in host.status()["accounts"] if a["bridge"]["state"] == "missing"), None
        )
    )
    assert account["state"] == "degraded"
    assert "no-such-raft" in account["reason"]
    assert "npm i -g @botiverse/raft" in account["reason"]
    assert host.run("status").returncode == exit_codes.NOT_READY


def test_no_status_ever_says_ready_while_the_bridge_is_dead(host: Host) -> None:
    host.up()
    host.ready()
    dead: set[int] = set()
    lies = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            known = set(dead)
            account = host.account("support")
            if account["state"] == "ready" and account["bridge"]["pid"] in known:
                lies.append(account)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(3):
            pid = host.ready("support")["support"]["bridge"]["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: _dead(pid))
            dead.add(pid)
            said = host.account("support")
            assert said["state"] != "ready" or said["bridge"]["pid"] != pid
    finally:
        over.set()
        watcher.join()
    assert not lies
    account = host.ready()["support"]
    assert account["bridge"]["restarts"] == 3
    assert account["bridge"]["lastExit"] == "killed by SIGKILL"


def test_a_dead_bridge_of_which_nobody_has_told_yet_is_not_ready_either(host: Host) -> None:
    host.up()
    bridge = psutil.Process(host.ready()["support"]["bridge"]["pid"])
    # Its shim, who would tell the worker, is held back.
    shim = bridge.parent()
    assert shim
    shim.suspend()
    try:
        bridge.kill()
        wait_for(lambda: _dead(bridge.pid))
        account = host.account("support")
        assert account["bridge"]["state"] == "listening", "the worker has not heard of it"
        assert account["state"] == "degraded"
        assert "just died" in account["reason"]
    finally:
        shim.resume()
    host.ready()


def _dead(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_piped_text_is_plain_and_a_terminal_has_colours_unless_it_says_no(calm: Host) -> None:
    piped = calm.run("status")
    assert piped.returncode == exit_codes.OK
    assert "\x1b" not in piped.stdout
    assert "support" in piped.stdout
    assert "\x1b[32mready\x1b[0m" in _on_terminal(calm)
    assert "\x1b" not in _on_terminal(calm, NO_COLOR="1")
    assert "\x1b" not in _on_terminal(calm, TERM="dumb")
    assert "\x1b" in _on_terminal(calm, NO_COLOR="")


def _on_terminal(host: Host, **env: str) -> str:
    ours, theirs = pty.openpty()
    try:
        # What it prints fits a terminal's buffer: nobody needs to read before it ends.
        environ = {k: v for k, v in host.environ().items() if k != "NO_COLOR"} | {"TERM": "xterm"}
        subprocess.run(
            [*RAFTSUP, "status"], env={**environ, **env}, stdin=theirs, stdout=theirs,
            stderr=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


# ctl and supervisorctl

CTL = [*RAFTSUP, "ctl"]
PLAIN = [sys.executable, "-m", "supervisor.supervisorctl", "-c"]


@pytest.mark.parametrize("plain", [False, True], ids=["ctl", "supervisorctl"])
def test_supervisorctl_handles_one_account_and_disturbs_no_other(calm: Host, plain: bool) -> None:
    argv = [*PLAIN, str(calm.state.supervisord_conf)] if plain else CTL

    def ctl(*words: str) -> str:
        return calm.run(*words, argv=argv).stdout

    before = workers(calm)
    wait_for(lambda: ctl("status").count("RUNNING") == 3)
    lines = {line.split()[0] for line in ctl("status").splitlines()}
    assert lines == {"dispatcher", "accounts:support", "accounts:sales"}

    assert ctl("stop", "accounts:support") == "accounts:support: stopped\n"
    assert calm.account("support")["state"] == "down"
    assert _dead(before["support"][1]), "its bridge is gone"
    assert ctl("start", "accounts:support") == "accounts:support: started\n"
    started = calm.ready()["support"]["endpoint"]["pid"]
    assert ctl("restart", "accounts:support").endswith("accounts:support: started\n")
    assert calm.ready()["support"]["endpoint"]["pid"] not in (started, before["support"][0])
    assert workers(calm)["sales"] == before["sales"]
    assert "action=endpoint.listening" in ctl("tail", "-4000", "accounts:support")
    assert "action=dispatcher.ready" in ctl("tail", "-4000", "dispatcher")


def test_ctl_before_any_start_says_so(host: Host) -> None:
    done = host.run("ctl", "status")
    assert done.returncode == exit_codes.NOT_RUNNING
    assert "never run" in done.stderr


# reload


@pytest.mark.parametrize("plain", [False, True], ids=["reload", "supervisorctl update"])
def test_a_reload_adds_changes_and_removes_just_the_accounts_that_the_edit_touched(
    plain: bool,
) -> None:
    agents = ["support", "sales", "legal"]
    with running(agents) as host:
        host.configure({"support": {}, "sales": {}})
        host.up()
        host.ready()

        def reload() -> str:
            argv = [*PLAIN, str(host.state.supervisord_conf)] if plain else RAFTSUP
            done = host.run("update" if plain else "reload", argv=argv)
            assert done.returncode == exit_codes.OK, done.stderr
            return done.stdout

        first = workers(host)
        host.configure({"support": {}, "sales": {}, "legal": {}})
        assert "accounts:legal: added" in reload()
        host.ready()
        second = workers(host)
        assert {k: v for k, v in second.items() if k != "legal"} == first
        host.raft.workspace.post("legal", "new here?")
        host.answered("new here?")

        # Another name of the same CLI: a worker must know it, an agent need not.
        host.configure({"support": {}, "sales": {"command": [*RAFT]}, "legal": {}})
        assert "accounts:" not in reload(), "an edit that says the same changes nothing"
        odd = [RAFT[0], "-B", *RAFT[1:]]
        host.configure({"support": {}, "sales": {"command": odd}, "legal": {}})
        assert "accounts:sales" in reload()
        host.ready()
        third = workers(host)
        assert third["sales"][0] != second["sales"][0]
        assert {**third, "sales": 0} == {**second, "sales": 0}

        host.configure({"support": {}, "sales": {"command": odd, "enabled": False}})
        said = reload()
        assert "accounts:sales" in said
        assert "accounts:legal" in said
        assert workers(host) == {"support": first["support"]}
        for pid in (*third["sales"], *third["legal"]):
            assert _dead(pid)


def test_a_broken_file_is_refused_with_its_line_and_changes_nothing(calm: Host) -> None:
    before, text = workers(calm), calm.config_path.read_text()
    try:
        calm.config_path.write_text("{\n  channels: {\n    raft {} } }")
        done = calm.run("reload")
        assert done.returncode == exit_codes.CONFIG
        assert f"{calm.config_path}:3" in done.stderr
        assert "nothing was changed" in done.stderr
        calm.configure({"support": {}, "sales": {}}, turns={"attemps": 4})
        done = calm.run("reload")
        assert done.returncode == exit_codes.CONFIG
        assert "attempts" in done.stderr, "what to write instead"
    finally:
        calm.config_path.write_text(text)
    assert workers(calm) == before
    assert calm.run("reload").returncode == exit_codes.OK
    assert calm.run("status").returncode == exit_codes.OK


def test_a_reload_that_is_refused_half_way_does_not_claim_that_nothing_was_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def half(_: object) -> Iterator[dict[str, Any]]:
        yield {"program": "accounts:support", "what": "removed", "paths": []}
        raise ops_reload.BrokenOff("raftsup is stopping")

    monkeypatch.setattr(ops_reload, "apply", half)
    assert main(["reload", "--state-dir", "/nowhere"]) == exit_codes.FAILED
    printed = capsys.readouterr()
    assert printed.out == "accounts:support: removed\n"
    assert "raftsup is stopping" in printed.err
    assert "nothing" not in printed.err


def test_an_account_that_waits_for_its_restart_is_changed_at_once(host: Host) -> None:
    host.up()
    host.ready()
    sales = workers(host)["sales"]

    def waits_long() -> bool:
        info = rpc.call(host.state, "getProcessInfo", "accounts:support")
        if info["statename"] == "BACKOFF":
            return "start 6" in info["spawnerr"]
        if info["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(info["pid"], signal.SIGKILL)
        return False

    wait_for(waits_long, what="a long back-off")
    host.configure({"support": {"command": [RAFT[0], "-B", *RAFT[1:]]}, "sales": {}})
    assert "accounts:support: restarted" in host.run("reload").stdout
    assert rpc.call(host.state, "getProcessInfo", "accounts:support")["statename"] != "BACKOFF"
    host.ready()
    assert workers(host)["sales"] == sales


def test_a_changed_agent_is_used_for_the_next_turn_and_restarts_nobody(host: Host) -> None:
    host.up()
    host.ready()
    before, dispatcher = workers(host), host.status()["dispatcher"]
    mark = host.root / "new-agent-ran"
    agent = {**AGENT, "env": {**AGENT["env"], "RAFT_SIM_AGENT_DIR": str(mark)}}
    host.configure({"support": {"agent": agent}, "sales": {}})
    done = host.run("reload")
    assert done.returncode == exit_codes.OK
    assert done.stdout.startswith(
        "dispatcher: uses from now on channels.raft.accounts.support.agent"
    )
    wait_for(lambda: "action=config.reloaded" in host.said(), what="the dispatcher's reload")
    host.raft.workspace.post("support", "who are you?")
    host.answered("who are you?")
    assert mark.exists()
    assert workers(host) == before
    assert host.status()["dispatcher"] == dispatcher


def test_commands_that_need_a_host_say_that_none_runs(host: Host) -> None:
    for words in (("reload",), ("stop",)):
        done = host.run(*words)
        assert done.returncode == exit_codes.NOT_RUNNING
        assert done.stderr.count("\n") == 1
    host.up()
    host.ready()
    host.run("stop")
    done = host.run("reload")
    assert done.returncode == exit_codes.NOT_RUNNING
    assert "raftsup up" in done.stderr


def test_a_reader_that_goes_away_is_no_error(calm: Host) -> None:
    with subprocess.Popen(
        [*RAFTSUP, "status", "--json"], env=calm.environ(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        assert command.stdout and command.stderr
        command.stdout.close()
        assert "Traceback" not in command.stderr.read()
