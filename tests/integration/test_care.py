"""``raftsup inspect`` and ``raftsup health`` against a host."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from raftsup import exit_codes
from tests.integration.host import AGENT, running, wait_for


def test_health_is_one_line_and_a_code_before_while_and_after_a_host_runs() -> None:
    with running(("support", "sales")) as host:
        before = host.run("health")
        assert (before.returncode, before.stdout) == (
            exit_codes.NOT_RUNNING, "not running: no host; `raftsup up` starts one\n"
        )  # fmt: skip
        host.configure({"support": {}, "sales": {"agentId": "agent-else"}})
        host.up()
        host.ready("support")
        wait_for(lambda: "MISMATCH" in host.account("sales")["reason"])
        bad = host.run("health")
        assert bad.returncode == exit_codes.NOT_READY and bad.stdout.count("\n") == 1
        assert "1 of 2 accounts ready; sales is degraded: " in bad.stdout
        told = json.loads(host.run("health", "--json").stdout)
        assert (told["word"], told["worst"]["account"]) == ("not_ready", "sales")
        host.configure({"support": {}, "sales": {}})
        assert host.run("reload").returncode == exit_codes.OK
        host.ready()
        host.config_path.write_text("{ half an ed")  # the host goes on with what it read
        wait_for(lambda: json.loads(host.run("health", "--json").stdout)["refused"])
        good = host.run("health")
        assert (good.returncode, good.stdout) == (
            exit_codes.OK,
            "ok: 2 of 2 accounts ready; the config file cannot be used (`raftsup status` says"
            " why)\n",
        )
        assert host.run("stop").returncode == exit_codes.OK
        assert host.run("health").returncode == exit_codes.NOT_RUNNING


def test_inspect_tells_all_that_is_known_of_an_account_and_no_secret() -> None:
    with running(("support", "sales")) as host:
        agent = {**AGENT, "env": {**AGENT["env"], "KEY": "key-of-the-agent"}}
        host.configure({"support": {"agent": agent, "lane": "one"}, "sales": {"lane": "one"}})
        host.up()
        host.ready()
        host.raft.workspace.post("support", "the message's words")
        host.answered("the message's words")
        wait_for(lambda: host.account("support")["turns"]["done"] == 1)
        shown = host.run("inspect", "Support")
        assert shown.returncode == exit_codes.OK, shown.stderr
        account = host.account("support")
        for known in (
            account["endpoint"]["url"], f"listening, pid {account['bridge']['pid']}",
            "1 accepted", "one, shared with sales", "agent.env.KEY: ***", "support  done",
            str(host.state.logs / "accounts-support.log"), str(host.state.transcript(1, 1)),
        ):  # fmt: skip
            assert known in shown.stdout, known
        told = host.run("inspect", "support", "--json").stdout
        whole = json.loads(told)
        assert whole["recent"][0]["transcripts"][0]["path"] == str(host.state.transcript(1, 1))
        assert whole["config"]["agent"]["env"]["KEY"] == "***"
        for text in (shown.stdout, told):
            assert "key-of-the-agent" not in text and "message's words" not in text
        log = Path(whole["bridgeLog"]["path"])
        assert f"{log}, last written " in shown.stdout
        with log.open("a") as file:
            file.write('{"ts": "T", "type": "bridge_fatal", "message": "of long ago"}\n')
        stopped = host.run("ctl", "stop", "accounts:support")
        assert stopped.returncode == exit_codes.OK, stopped.stderr
        os.utime(log, (1e9, 1e9))
        assert re.search(r"bridge\.log, last written \d+d ago\n.*of long ago",
                         host.run("inspect", "support").stdout, re.DOTALL)  # fmt: skip
        doctor = host.run("doctor").stdout
        assert "account support is down: the worker is stopped" in doctor
        assert "of long ago" not in doctor
        unknown = host.run("inspect", "nobody")
        assert unknown.returncode == exit_codes.FAILED
        assert "no account 'nobody'; there are support, sales" in unknown.stderr
