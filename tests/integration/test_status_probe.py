"""``status --probe``: each part of a wake's way is tried, and nothing is owed for it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import stat
from typing import Any
from urllib.parse import urlsplit

from raftsup import exit_codes
from tests.integration.host import AGENT, Host, running, wait_for


def probed(host: Host, *words: str) -> tuple[int, dict[str, dict[str, dict[str, Any]]]]:
    """The exit code, and by account and step what was found."""
    done = host.run("status", "--probe", "--json", *words)
    accounts = json.loads(done.stdout)["accounts"]
    found = {a["account"]: {c["check"]: c for c in a["probe"]} for a in accounts}
    return done.returncode, found


def offer(host: Host, path: str, method: str, body: str | None = None, **headers: str) -> int:
    """The answer's status for a request that presents the probe key in the token's place."""
    url = urlsplit(host.account("support")["endpoint"]["url"])
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=10)
    key = host.state.probe_key("support").read_text()
    connection.request(method, path, body, {"x-raft-bridge-token": key, **headers})
    with connection.getresponse() as answer:
        return answer.status


def test_a_host_that_is_well_passes_each_step_and_owes_nothing_for_it() -> None:
    with running(("support", "sales")) as host:
        host.up()
        before = host.ready()
        code, found = probed(host)
        assert code == exit_codes.OK
        steps = ["cli", "profile", "bridge", "wake", "dispatcher", "runner"]
        for checks in found.values():
            assert list(checks) == steps and all(c["good"] for c in checks.values()), checks
        assert "0.0.24" in found["support"]["cli"]["text"]
        assert "agent-support" in found["support"]["profile"]["text"]
        assert re.search(r"listens, pid \d+, heard \d+ s ago$", found["support"]["bridge"]["text"])
        assert 0 <= host.account("support")["bridge"]["heardAgo"] < 60
        shown = host.run("status", "--probe")
        assert shown.returncode == exit_codes.OK and shown.stdout.count("\n    ok ") == 12
        # The key opens no more than that: not the activity, and no check of a wake less.
        assert offer(host, "/activity/drain", "GET") == 401
        assert offer(host, "/wake", "POST", "{}") == 400
        assert offer(host, "/wake", "POST", '{"id": 1, "text": "x"}') == 400
        assert offer(host, "/wake", "POST", '{"id": 1}', Host="example.org") == 403
        assert offer(host, "/wake", "POST", '{"id": 1}') == 200
        for name in ("support", "sales"):
            now = host.account(name)
            assert (now["wakes"], now["turns"]) == (before[name]["wakes"], before[name]["turns"])
        assert stat.S_IMODE(host.state.probe_key("support").stat().st_mode) == 0o600
        # True wakes get in as ever, and are told as the last.
        host.raft.workspace.post("support", "hello")
        host.answered("hello")
        wait_for(lambda: (host.account("support")["turns"]["last"] or {}).get("state") == "done")
        assert host.account("support")["wakes"]["lastAt"] > 0
        assert host.account("sales")["turns"]["last"] is None


def test_each_step_that_fails_is_named_beside_its_account_and_the_others_pass() -> None:
    with running(("support", "sales")) as host:
        agent = {"kind": "command", "command": ["no-such-agent"]}
        host.configure({"support": {}, "sales": {"agent": agent}}, supervisor={"reload": "off"})
        host.up()
        host.ready("support")
        wait_for(lambda: "no program no-such-agent" in host.account("sales")["reason"])
        profiles = json.loads(host.config_path.read_text())
        profiles["channels"]["raft"]["accounts"]["sales"]["agentId"] = "agent-another"
        host.config_path.write_text(json.dumps(profiles))
        endpoint = host.account("sales")["endpoint"]["pid"]
        os.kill(endpoint, signal.SIGSTOP)
        try:
            code, found = probed(host, "--timeout", "1")
        finally:
            os.kill(endpoint, signal.SIGCONT)
        assert code == exit_codes.NOT_READY
        assert all(c["good"] for c in found["support"].values()), found["support"]
        bad = {name: c["text"] for name, c in found["sales"].items() if c["good"] is False}
        assert set(bad) == {"profile", "wake", "runner"}
        assert (
            "agentId is agent-another, and profile sales is signed in as agent-sales"
            in bad["profile"]
        )
        assert "did not answer within 1 s" in bad["wake"]
        assert "no program no-such-agent" in bad["runner"]


def test_without_a_host_the_config_is_shown_and_what_can_be_tried_is() -> None:
    with running(("support", "sales")) as host:
        tree = json.loads(host.config_path.read_text())
        raft = tree["channels"]["raft"]
        raft["accounts"]["sales"] = {"profile": "sales", "enabled": False}
        raft["accounts"]["third"] = {"profile": "third", "command": ["no-such-raft"]}
        host.config_path.write_text(json.dumps(tree))
        shown = host.run("status")
        assert shown.returncode == exit_codes.NOT_READY
        assert "no host runs here: this is what the config says" in shown.stdout
        rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines()[3:]}
        assert rows["support"][1:4] == ["enabled", "support", "command"]
        assert rows["sales"][1] == "disabled"
        code, found = probed(host)
        assert code == exit_codes.NOT_READY and found["sales"] == {}
        good = {name: c["good"] for name, c in found["support"].items()}
        assert good == {
            "cli": True, "profile": True, "bridge": None, "wake": None, "dispatcher": None,
            "runner": True,
        }  # fmt: skip
        assert found["third"]["cli"]["good"] is False
        assert "npm i -g @botiverse/raft" in found["third"]["cli"]["text"]


def test_a_variable_that_only_the_host_has_keeps_no_more_than_its_agent_from_being_tried() -> None:
    with running(("support", "sales")) as host:
        secret = {**AGENT, "env": {**AGENT["env"], "KEY": "${ONLY_THE_HOST_HAS_THIS}"}}
        host.configure({"support": {"agent": secret}, "sales": {}})
        host.up(ONLY_THE_HOST_HAS_THIS="x")
        wait_for(lambda: host.run("status").returncode == exit_codes.OK)
        code, found = probed(host)
        assert code == exit_codes.OK
        runner = found["support"].pop("runner")
        assert runner["good"] is None and "ONLY_THE_HOST_HAS_THIS is not set" in runner["text"]
        assert all(c["good"] for c in [*found["support"].values(), *found["sales"].values()])
