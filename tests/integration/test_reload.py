"""An edit of the config file and the running host: what it touches, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from raftsup import exit_codes
from raftsup.dispatcher import control_client
from raftsup.ledger import open_ledger
from raftsup.ops import reload, rpc
from raftsup.paths import StateDir
from tests.integration.host import AGENT, RAFT, RAFTSUP, Host, running, wait_for

#: Another name of the same CLI: a worker must know it.
OTHER = {"command": [RAFT[0], "-B", *RAFT[1:]]}
HANGS = {"agent": {**AGENT, "env": {**AGENT["env"], "RAFT_SIM_AGENT_HANG": "1"}}}


@pytest.fixture
def host() -> Iterator[Host]:
    with running(("support", "sales", "legal")) as host:
        yield host


def edit(host: Host, mode: str, accounts: dict[str, dict[str, Any]], **sections: Any) -> None:
    host.configure(accounts, supervisor={"reload": mode}, **sections)


def workers(host: Host) -> dict[str, int]:
    return {a["account"]: a["endpoint"]["pid"] for a in host.status()["accounts"]}


def standing(host: Host) -> dict[str, Any]:
    config: dict[str, Any] = host.status()["config"]
    return config


def reaches(host: Host, word: str, mode: str) -> dict[str, Any]:
    """Wait until the running config stands so to its file."""
    return wait_for(
        lambda: found if (found := standing(host))["state"] == word and found["mode"] == mode
        else {},
        what=f"{word} in mode {mode}",
    )  # fmt: skip


def parents_log(host: Host) -> str:
    return (host.state.logs / "supervisord.log").read_text()


def concurrency(host: Host) -> int:
    answer: int = control_client.request(host.state.dispatcher_socket, "status")["concurrency"]
    return answer


def test_an_edit_restarts_just_the_account_that_it_changes_while_turns_go_on(host: Host) -> None:
    quick = {"drain": "100ms"}
    edit(host, "hybrid", {"support": HANGS, "sales": {}}, turns=quick)
    real = host.root / "real.json5"
    host.config_path.rename(real)
    host.config_path.symlink_to(real)
    host.up()
    host.ready()
    first, dispatcher = workers(host), host.status()["dispatcher"]
    host.raft.workspace.post("support", "hello")
    (turn,) = wait_for(
        lambda: control_client.request(host.state.dispatcher_socket, "status")["running"]
    )

    turns = {**quick, "concurrency": 7}
    edit(host, "hybrid", {"support": HANGS, "sales": OTHER, "legal": {}}, turns=turns)
    host.ready("sales", "legal")
    wait_for(lambda: workers(host)["sales"] not in (None, first["sales"]), what="a new worker")
    assert workers(host)["support"] == first["support"]
    wait_for(lambda: concurrency(host) == 7)
    second = host.ready()["sales"]["endpoint"]["pid"]

    # As editors do it: a new file, renamed over the old one. The turn's own account this time.
    text = json.loads(real.read_text())
    del text["channels"]["raft"]["accounts"]["legal"]
    text["channels"]["raft"]["accounts"]["support"] |= OTHER
    new = host.root / "new.json5"
    new.write_text(json.dumps(text))
    new.replace(real)
    wait_for(lambda: set(workers(host)) == {"support", "sales"}, what="legal's end")
    host.ready()
    assert workers(host)["support"] != first["support"]
    assert workers(host)["sales"] == second
    assert host.status()["dispatcher"] == dispatcher
    assert control_client.request(host.state.dispatcher_socket, "status")["running"] == [turn]
    host.raft.workspace.post("sales", "and you?")
    host.answered("and you?")
    assert standing(host)["state"] == "applied"


def test_each_mode_does_by_itself_what_it_may_and_tells_the_rest(host: Host) -> None:
    edit(host, "off", {"support": {}, "sales": {}})
    host.up()
    host.ready()
    first = workers(host)

    edit(host, "hot", {"support": {}, "sales": {}, "legal": {}})
    found = reaches(host, "differs", "off")
    assert {c["path"] for c in found["changes"]} == {
        "channels.raft.accounts.legal", "supervisor.reload",
    }  # fmt: skip
    status = host.run("status")
    assert "differs from the file: `raftsup reload` applies it" in status.stdout
    assert standing(host)["state"] == "differs", "it did nothing by itself"
    planned = host.run("reload", "--dry-run").stdout
    assert "accounts:legal: would be added" in planned and "supervisor.reload" in planned
    assert orjson.loads(host.run("reload", "--dry-run", "--json").stdout)["added"] == [
        "accounts:legal"
    ]
    assert "legal" not in {a["account"] for a in host.status()["accounts"] if a["endpoint"]["pid"]}
    assert "accounts:legal: added" in host.run("reload").stdout
    host.ready()

    # hot: legal goes and the dispatcher's part is live, sales must wait for a person.
    edit(host, "hot", {"support": {}, "sales": OTHER}, turns={"concurrency": 7})
    found = reaches(host, "differs", "hot")
    assert [c["takes"] for c in found["changes"]] == ["restart"]
    wait_for(lambda: concurrency(host) == 7)
    wait_for(lambda: workers(host) == first, what="legal's end and nobody else's")
    # A worker that dies meanwhile comes back as it was.
    os.kill(first["sales"], signal.SIGKILL)
    wait_for(lambda: workers(host)["sales"] not in (None, first["sales"]), what="a new worker")
    sales = host.ready()["sales"]
    assert "-B" not in psutil.Process(sales["bridge"]["pid"]).cmdline()
    assert "accounts:sales: restarted" in host.run("reload").stdout
    host.ready()
    assert standing(host)["state"] == "applied"
    assert workers(host)["support"] == first["support"]

    # restart: what only a whole restart applies is applied, too.
    edit(host, "restart", {"support": {}, "sales": OTHER}, ledger={"mapSize": "64MB"})
    found = reaches(host, "differs", "restart")
    assert (found["next"], found["changes"]) == (
        "raftsup restart", [{"path": "ledger.mapSize", "takes": "host"}],
    )  # fmt: skip
    dispatcher, parent = host.status()["dispatcher"]["pid"], host.parent()
    os.utime(host.config_path)
    wait_for(lambda: host.status()["dispatcher"]["pid"] not in (None, dispatcher), what="a restart")
    assert host.parent() == parent
    host.ready()
    assert standing(host)["state"] == "applied"


def test_a_broken_file_is_refused_until_it_is_fixed_and_read_by_nobody(host: Host) -> None:
    edit(host, "hybrid", {"support": {}, "sales": {}}, turns={"concurrency": 7})
    host.up()
    host.ready()
    first, good = workers(host), host.config_path.read_text()
    bad = json.loads(good)
    bad["turns"]["attemps"] = 4
    host.config_path.write_text(json.dumps(bad))
    found = reaches(host, "refused", "hybrid")
    assert found["problems"] == [
        {
            "where": f"{host.config_path}: turns.attemps",
            "what": "unknown key",
            "hint": 'did you mean "attempts"?',
        }
    ]
    status = host.run("status")
    assert status.returncode == exit_codes.OK, "the accounts are well"
    assert "refused: the running config is kept" in status.stdout
    assert 'turns.attemps: unknown key; did you mean "attempts"?' in status.stdout
    for words in (("reload",), ("reload", "--dry-run")):
        done = host.run(*words)
        assert (done.returncode, done.stdout) == (exit_codes.CONFIG, "")
        assert ("would refuse it" if len(words) > 1 else "nothing was changed") in done.stderr
    done = host.run("restart")
    assert (done.returncode, done.stdout) == (exit_codes.CONFIG, "")
    assert "nothing was stopped" in done.stderr
    assert workers(host) == first
    assert parents_log(host).count("the config is refused") == 1, "once is enough"

    before = host.status()["dispatcher"]["pid"]
    os.kill(before, signal.SIGKILL)
    os.kill(first["sales"], signal.SIGKILL)
    wait_for(lambda: host.status()["dispatcher"]["pid"] not in (None, before), what="a dispatcher")
    wait_for(lambda: workers(host)["sales"] not in (None, first["sales"]), what="a new worker")
    host.ready()
    assert concurrency(host) == 7
    with pytest.raises(control_client.DispatcherRefused, match="raftsup reload"):
        control_client.request(host.state.dispatcher_socket, "reload")
    assert standing(host)["state"] == "refused"

    # Nor is a restart the host's end.
    parent, dispatcher = host.parent(), host.status()["dispatcher"]["pid"]
    os.kill(parent, signal.SIGHUP)
    # All the time there is a host: without one, ``status`` would refuse the file.
    wait_for(lambda: host.status()["dispatcher"]["pid"] not in (None, dispatcher), what="a restart")
    assert host.parent() == parent
    host.ready()
    assert concurrency(host) == 7
    assert "The host restarts with the config that was good before" in host.said()
    reaches(host, "refused", "hybrid")

    fixed = json.loads(good)
    fixed["turns"]["concurrency"] = 8
    host.config_path.write_text(json.dumps(fixed))
    reaches(host, "applied", "hybrid")
    wait_for(lambda: concurrency(host) == 8)


def test_reloads_at_the_same_time_apply_the_change_once_and_all_succeed(host: Host) -> None:
    edit(host, "hybrid", {"support": {}, "sales": {}})
    host.up()
    host.ready()
    edit(host, "hybrid", {"support": OTHER, "sales": {}, "legal": {}})
    asked = [host.start("reload", argv=RAFTSUP) for _ in range(3)]
    assert [process.wait(20) for process in asked] == [exit_codes.OK] * 3
    host.ready()
    assert parents_log(host).count("accounts:support: restarted by a change") == 1
    assert parents_log(host).count("accounts:legal: added by a change") == 1
    assert host.run("reload").stdout == "nothing to apply: the host runs what the file says\n"
    assert host.run("reload", "--dry-run").stdout.startswith("nothing to apply")


def test_two_accounts_swap_their_profiles_without_two_bridges_on_one(host: Host) -> None:
    ids = {name: {"profile": name, "agentId": f"agent-{name}"} for name in ("support", "sales")}
    edit(host, "off", {"support": ids["support"], "sales": ids["sales"]})
    host.up()
    host.ready()
    edit(host, "off", {"support": ids["sales"], "sales": ids["support"]})
    assert host.run("reload").returncode == exit_codes.OK
    accounts = host.ready()
    assert {name: a["profile"] for name, a in accounts.items()} == {
        "support": "sales", "sales": "support",
    }  # fmt: skip
    assert "BRIDGE_ALREADY_RUNNING" not in host.said()

    host.run("ctl", "stop", "accounts:sales")
    edit(host, "off", {"support": ids["sales"], "sales": {**ids["support"], **OTHER}})
    planned, done = host.run("reload", "--dry-run").stdout, host.run("reload").stdout
    assert "accounts:sales: would have new settings, and stay stopped" in planned
    assert "accounts:sales: has new settings; it stays stopped" in done
    host.run("ctl", "start", "accounts:sales")
    sales = host.ready()["sales"]
    assert "-B" in psutil.Process(sales["bridge"]["pid"]).cmdline()


def test_without_a_host_a_dry_run_says_what_the_next_start_would_run(host: Host) -> None:
    edit(host, "hybrid", {"support": {}, "sales": {"enabled": False}})
    done = host.run("reload", "--dry-run")
    assert done.returncode == exit_codes.OK
    assert done.stdout.endswith("would take effect at the next start: support\n")
    found = orjson.loads(host.run("reload", "--dry-run", "--json").stdout)
    assert found == {"running": False, "accounts": ["support"]}
    host.config_path.write_text("{")
    assert host.run("reload", "--dry-run").returncode == exit_codes.CONFIG


def test_who_removes_an_account_is_told_what_becomes_of_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateDir(tmp_path)
    state.prepare()
    ledger = open_ledger(state.ledger, 1 << 20)
    turns = [ledger.owe("support", "operator", now=1.0) for _ in range(3)]
    ledger.claim(turns[0].id, now=2.0)
    ledger.close()
    removed = [
        {"program": f"accounts:{name}", "what": "removed", "paths": []}
        for name in ("support", "sales")
    ]
    progress = json.dumps({"done": removed, "over": True, "refused": "", "brokenOff": ""})
    answers = {"applyConfig": 1, "applyProgress": progress}
    monkeypatch.setattr(rpc, "call", lambda state, method, *args: answers[method])
    assert [reload.sentence(one) for one in reload.apply(state)] == [
        "accounts:support: removed; its running turn goes on;"
        " 2 turns stay owed until it runs again, see `raftsup turn list`",
        "accounts:sales: removed",
    ]
