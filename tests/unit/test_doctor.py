"""What the doctor's checks decide, from facts that are given to them."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from raftsup.config.errors import ExternalText, Problem
from raftsup.config.model import Account, OpenClawAgent
from raftsup.ops.checks import (
    bridges,
    config,
    host,
    ledger,
    modes,
    profiles,
    raft,
    registry,
    state_dir,
)
from raftsup.ops.checks.addressed import addressed
from raftsup.ops.checks.context import Scene
from raftsup.ops.checks.finding import Finding, NotFixed, Severity, fail, good, warning
from raftsup.ops.checks.processes import Process, above
from raftsup.ops.checks.registry import Check, Examined, Use
from raftsup.ops.raft_cli import CliTrouble, Whoami
from raftsup.paths import StateDir
from raftsup.proc.liveness import by_signal
from raftsup.raft_errors import Who
from raftsup.turn import State, Turn

NOTHING = cast(Scene, None)
ACCOUNT = Account("support", True, "support-agent", "agent-1", ("raft",), None, "support")
MB = 1 << 20


def test_a_check_that_breaks_is_a_finding_that_tells_where_and_nothing_of_what_it_saw() -> None:
    def breaks(_: Scene) -> Iterator[Finding]:
        yield good("before")
        raise KeyError("the-secret")

    (one,) = registry.examine(NOTHING, [Check("x", "", breaks)])
    assert one.findings[0] == good("before")
    assert one.findings[1].severity is Severity.FAIL
    assert "KeyError in test_doctor.py" in one.findings[1].what
    assert "the-secret" not in str(one.findings)


def test_a_check_that_hangs_is_a_finding_and_keeps_no_other_from_being_told() -> None:
    never = threading.Event()

    def hangs(_: Scene) -> Iterator[Finding]:
        never.wait()
        return iter(())

    first, second = registry.examine(
        NOTHING,
        [Check("hangs", "", hangs, timeout_s=0.05), Check("well", "", lambda _: [good("well")])],
    )
    never.set()
    assert "not through" in first.findings[0].what
    assert second.findings == (good("well"),)


def test_what_cannot_be_fixed_is_told_and_the_rest_is_fixed() -> None:
    def refuses() -> str:
        raise NotFixed("it lives")

    def done() -> str:
        return "removed"

    stuck, left = Check("a", "", lambda _: ()), Check("b", "", lambda _: ())
    said, again = registry.repair([
        Examined(stuck, (warning("the lock", "", "", refuses), fail("x", "", ""))),
        Examined(left, (good("a file", done),)),
    ])  # fmt: skip
    assert said == ["not fixed: the lock: it lives", "removed"]
    assert again == [stuck, left]


@pytest.mark.parametrize(
    ("free", "inodes", "severity"),
    [
        (1000 * MB, None, "good"),
        (499 * MB, 10**6, "warning"),
        (49 * MB, None, "fail"),
        (1000 * MB, 999, "fail"),
    ],
)
def test_a_disk_is_told_of_before_it_is_full(free: int, inodes: int | None, severity: str) -> None:
    assert state_dir.judge_room("/s", free, inodes).severity == severity


@pytest.mark.parametrize(
    ("used", "full", "severity"),
    [(69, False, "good"), (70, False, "warning"), (30, True, "fail"), (88, True, "fail")],
)
def test_a_ledger_is_told_of_before_it_refuses_wakes(used: int, full: bool, severity: str) -> None:
    assert ledger.judge_fill(used, 100, full).severity == severity


@pytest.mark.parametrize(("ahead", "severity"), [(-9, "good"), (5, "good"), (6, "warning"),
                                                 (61, "fail")])  # fmt: skip
def test_a_clock_behind_the_ledger_was_set_back(ahead: float, severity: str) -> None:
    assert ledger.judge_clock(1000.0 + ahead, 1000.0).severity == severity


def test_of_a_turn_that_is_done_no_reply_is_promised() -> None:
    turn = Turn(7, "support", State.DONE)
    found = ledger.judge_turn(turn, 0.0, True)
    assert found.severity is Severity.GOOD and "only Raft knows" in found.what
    gone = replace(turn, state=State.FAILED, reason="exited 1")
    several: list[tuple[tuple[Turn, ...], str]] = [
        ((gone,), "7"),
        ((gone, gone), "--failed support"),
    ]
    for turns, which in several:
        found = ledger.judge_failed(turns)
        assert found.severity is Severity.FAIL and found.fix == f"raftsup turn retry {which}"
        assert "exited 1" in found.what and f"`raftsup turn dismiss {which}`" in found.advice
    failed = ledger.judge_turn(gone, 0.0, True)
    assert failed.severity is Severity.WARNING and "raftsup turn retry 7" in failed.fix
    waits = replace(turn, state=State.QUEUED, owed_at=1.0)
    assert ledger.judge_turn(waits, 700.0, True).severity is Severity.WARNING
    for state, what in ((State.QUEUED, "waits"), (State.RUNNING, "was cut off")):
        alone = ledger.judge_turn(replace(waits, state=state), 2.0, False)
        assert (alone.severity, alone.fix) == (Severity.WARNING, "raftsup up")
        assert f"{what}: no host runs" in alone.what
        assert ledger.judge_turn(replace(waits, state=state), 2.0, True).severity is Severity.GOOD


def test_a_profile_that_is_signed_in_as_the_expected_agent_is_good() -> None:
    found = profiles.judge(ACCOUNT, Whoami("agent-1", "https://raft"), "f.json5")
    assert found.severity is Severity.GOOD


@pytest.mark.parametrize(
    ("account", "answer", "severity", "words"),
    [
        (ACCOUNT, Whoami("agent-2", "s"), "fail",
         ['agentId: "agent-2"', "f.json5", "another profile"]),
        (replace(ACCOUNT, agent_id=None), Whoami("agent-2", "s"), "fail", ['agentId: "agent-2"']),
        (ACCOUNT, CliTrouble("failed: no (PROFILE_FILE_UNREADABLE); sign in: `x`",
                             "PROFILE_FILE_UNREADABLE"), "fail",
         ["raftsup setup --profile support-agent", "PROFILE_FILE_UNREADABLE"]),
        (ACCOUNT, CliTrouble("failed: no (PROFILE_ENV_CONFLICT); sign in: `x`",
                             "PROFILE_ENV_CONFLICT"), "fail", ["unset SLOCK_PROFILE"]),
        (ACCOUNT, CliTrouble("failed: fetch failed (CHECK_FAILED); sign in: `x`", "CHECK_FAILED"),
         "warning", ["auth whoami", "CHECK_FAILED"]),
        (ACCOUNT, Whoami("agent-1", "s", "it failed: fetch failed"), "warning",
         ["could not be asked", "auth whoami"]),
    ],
)  # fmt: skip
def test_a_profile_that_keeps_its_bridge_from_running_is_told_with_what_fixes_it(
    account: Account, answer: Whoami | CliTrouble, severity: str, words: list[str]
) -> None:
    found = profiles.judge(account, answer, "f.json5")
    assert found.severity == severity
    said = f"{found.what} {found.fix} {found.advice}"
    assert all(word in said for word in words), found
    assert "`x`" not in found.what


def test_two_accounts_that_are_one_agent_are_told() -> None:
    (found,) = profiles.shared({"a": "agent-1", "b": "agent-1", "c": "agent-2"})
    assert "accounts a, b" in found.what and found.severity is Severity.FAIL


def bridge(pid: int, parent: int, profile: str = "p", **env: str) -> Process:
    return Process(pid, parent, ("raft", "--profile", profile, "agent", "bridge"), env)


@pytest.mark.parametrize(
    ("text", "line"),
    [(b"", None), (b'{"seq": 1}\n\n', None), (b'{"seq": 1}\n{"se', 2), (b"\xff\n", 1)],
)
def test_hints_that_were_cut_short_are_found(tmp_path: Path, text: bytes, line: int | None) -> None:
    path = tmp_path / "wake-hints.jsonl"
    path.write_bytes(text)
    assert bridges.damaged(path) == line


def test_no_hints_and_odd_ones_hold_up_nobody(tmp_path: Path) -> None:
    assert bridges.damaged(tmp_path / "none") is None
    os.mkfifo(tmp_path / "fifo")
    assert bridges.damaged(tmp_path / "fifo") is None


def test_a_second_bridge_is_one_of_our_profiles_that_is_not_below_our_host() -> None:
    home = {"HOME": "/home/me"}
    all_ = [
        Process(1), Process(10, 1, ("raftsup", "up")), bridge(11, 10, **home),
        bridge(20, 1, **home), bridge(21, 20, **home),
        bridge(30, 1, HOME="/home/else"), bridge(31, 1, "q", **home),
    ]  # fmt: skip
    processes = {p.pid: p for p in all_}
    found = bridges.strangers({"p": "support"}, processes, frozenset({10}), home)
    assert [process.pid for _, process in found] == [20]


@pytest.mark.parametrize(
    ("parent", "words"),
    [
        (("bash",), "kill 5"),
        (("openclaw", "gateway"), "channels.raft.enabled: false"),
        (("openclaw-gateway   ",), "channels.raft.enabled: false"),
        (("node", "/opt/openclaw/openclaw.mjs", "gateway"), "channels.raft.enabled: false"),
        (("vim", "notes on openclaw"), "kill 5"),
        (("raftsup: accounts:x", ""), "raftsup stop --state-dir /s"),
    ],
)
def test_whoever_keeps_a_second_bridge_decides_how_it_is_stopped(
    parent: tuple[str, ...], words: str
) -> None:
    other = bridge(5, 4)
    all_ = {5: other, 4: Process(4, 1, parent), 1: Process(1)}
    found = bridges.judge_other("a", other, all_, lambda pid: Path("/s") if pid == 1 else None)
    assert words in found.fix + found.advice


def test_a_second_bridge_that_is_stopped_is_told_as_that_and_hears_of_its_end() -> None:
    other = replace(bridge(5, 4), stopped=True)
    found = bridges.judge_other("a", other, {5: other}, lambda pid: None)
    assert found.what.endswith("pid 5, stopped by a signal")
    assert found.fix == "kill 5 && kill -CONT 5"


def test_an_orphan_has_our_marks_is_not_below_our_host_and_is_not_who_asks() -> None:
    marks = {"RAFTSUP_STATE_DIR": "/s", "RAFTSUP_TURN": "3"}
    all_ = [
        Process(10, 1), Process(11, 10, environ=marks), Process(12, 1, environ=marks),
        Process(13, 1, environ={"RAFTSUP_STATE_DIR": "/s"}),
        Process(14, 1, environ={**marks, "RAFTSUP_STATE_DIR": "/t"}),
        Process(15, 1, environ=marks), Process(16, 15),
    ]  # fmt: skip
    found = bridges.orphans("/s", {p.pid: p for p in all_}, frozenset({10}), 16)
    assert [process.pid for process in found] == [12]


def test_processes_that_descend_from_themselves_end_the_walk() -> None:
    assert [p.pid for p in above(1, {1: Process(1, 2), 2: Process(2, 1)})] == [1, 2]


@pytest.mark.parametrize(
    ("wanted", "version", "severity"),
    [
        (">=24.16.0 <25 || >=26.1.0", "v26.1.0", "good"),
        (">=24.16.0 <25 || >=26.1.0", "v25.9.0", "fail"),
        ("^20 || 22.x", "v22.3.1", "good"),
        (None, "v1.0.0", "good"),
        ("nonsense >", "v1.0.0", "good"),
        (">=20", None, "fail"),
    ],
)
def test_a_node_that_the_package_does_not_want_is_told(
    wanted: str | None, version: str | None, severity: str
) -> None:
    assert raft.judge_node("raft", wanted, version).severity == severity


def test_what_node_runs_is_found_behind_links_and_with_its_packages_wish(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "raft"
    (package / "bin").mkdir(parents=True)
    script = package / "bin" / "raft.js"
    script.write_text("#!/usr/bin/env node\n")
    script.chmod(0o755)
    (package / "package.json").write_text('{"engines": {"node": ">=20"}}')
    (tmp_path / "raft").symlink_to(script)
    (tmp_path / "other").write_text("#!/bin/sh\n")
    (tmp_path / "other").chmod(0o755)
    env = {"PATH": str(tmp_path)}
    assert raft.node_script(["raft"], env) == script
    assert raft.node_script(["other"], env) is None
    assert raft.wanted_node(script) == ">=20"


@pytest.mark.parametrize(
    ("said", "severity"),
    [("0.0.24-sim", "good"), ("raft 1.2.0", "good"), ("0.0.23", "warning"), (None, "fail")],
)
def test_an_old_cli_is_told(said: str | None, severity: str) -> None:
    assert raft.judge_version("raft", said).severity == severity


def test_a_cli_that_only_this_shell_finds_is_not_said_to_be_uninstalled() -> None:
    here = raft.missing("raft", "the service's", "/opt/raft")
    assert here.fix == "raftsup restart" and '"/opt/raft"' in here.advice
    assert "npm i -g" in raft.missing("raft", "the service's", None).fix


def test_a_variable_that_only_the_running_host_needs_is_a_warning() -> None:
    problem = Problem("f: a", "the environment variable KEY is not set", "set it")
    assert config.judge(problem, True).severity is Severity.WARNING
    found = config.judge(problem, False)
    assert found.what == "f: a: the environment variable KEY is not set in this shell"
    assert found.severity is Severity.FAIL
    typed = subprocess.run(["bash", "-c", f'{found.fix}; echo "[$KEY]"'], input="a secret\n",
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert typed.stdout.endswith("[a secret]\n")


def test_a_key_in_the_file_itself_is_told_from_one_that_a_variable_gives() -> None:
    written = OpenClawAgent("ws://x", token="t-1")
    given = OpenClawAgent("ws://x", token=ExternalText("t-1", "${TOKEN}"))
    assert config.holds_key(replace(ACCOUNT, agent=written))
    assert not config.holds_key(replace(ACCOUNT, agent=given))
    assert not config.holds_key(ACCOUNT)


LOGIN = "raftsup setup --profile p"


@pytest.mark.parametrize(
    ("state", "severity"),
    [
        ("ready", "good"),
        ("connecting", "warning"),
        ("disabled", "good"),
        ("starting", "warning"),
        ("down", "fail"),
        ("misconfigured", "fail"),
    ],
)
def test_an_account_is_as_bad_as_its_state(state: str, severity: str) -> None:
    account: Any = {
        "account": "a", "profile": "p", "state": state, "reason": "r", "bridge": {"state": "x"}
    }  # fmt: skip
    assert host.judge_account(account).severity == severity
    account["bridge"]["state"] = "revoked"
    if severity != "good" and state != "connecting":
        assert host.judge_account(account).fix == LOGIN


def test_of_an_account_that_connects_nothing_is_known_yet() -> None:
    account: Any = {
        "account": "a", "profile": "p", "state": "connecting", "reason": "r",
        "bridge": {"state": "connecting"},
    }  # fmt: skip
    finding = host.judge_account(account)
    assert "not answered" not in finding.why
    assert (finding.why, finding.fix) == ("whether it reaches Raft is not known yet", "")


def test_what_an_account_says_of_itself_is_fixed_by_a_command() -> None:
    account: Any = {
        "account": "a", "profile": "p", "state": "degraded", "bridge": {"state": "waiting"},
        "reason": "bridge exited with 1 (BRIDGE_IDENTITY_MISMATCH)",
    }  # fmt: skip
    assert host.judge_account(account).fix.startswith("raftsup setup --account a --profile p ")
    account["reason"] = by_signal(7, "the bridge")
    assert host.judge_account(account).fix == "kill -CONT 7"
    silent: Any = {**account, "bridge": {"state": "silent"}, "reason": "it has said nothing"}
    assert host.judge_account(silent).fix == "raftsup ctl restart accounts:a"
    account["reason"] = "bridge exited with 1 (PROFILE_FILE_UNREADABLE)"
    cli = Who("p", ("npx", "raft"), "agent-1", "https://raft.invalid")
    fix = host.judge_account(account, cli).fix
    assert fix == (
        "npx raft agent login --server https://raft.invalid --agent agent-1 --profile-slug p"
    )
    # What the host says of a command is made to fit the shell that it is read in.
    account["reason"] = "exited with 1 (PROFILE_FILE_UNREADABLE); sign in: `npx raft agent login`"
    there = replace(cli, prefix="RAFT_HOME=/r ")
    assert "sign in: `RAFT_HOME=/r npx raft agent login`" in host.judge_account(account, there).what
    account["reason"] = "bridge exited with 1 (BRIDGE_WAKE_HINTS_FAILED); revoked"
    assert host.judge_account(account, cli).fix == fix
    account["reason"] = "bridge exited with 1 (PROFILE_ENV_CONFLICT)"
    assert "unset SLOCK_PROFILE" in host.judge_account(account, cli).advice
    account["reason"] = "bridge exited with 1 (CHECK_FAILED); it is tried again by itself"
    assert "raftsup logs a" in host.judge_account(account, cli).advice


@pytest.mark.parametrize(
    ("words", "variables", "fix"),
    [
        ([], {}, "sudo raftsup install && raftsup restart"),
        (["--name", "x"], {}, "sudo raftsup --name x install && raftsup --name x restart"),
        ([], {"A": "/b c"}, "sudo A='/b c' raftsup install && A='/b c' raftsup restart"),
    ],
)
def test_a_command_is_about_the_instance_that_the_doctor_was_asked_of(
    words: list[str], variables: dict[str, str], fix: str
) -> None:
    fixed = warning("", "", "sudo raftsup install && raftsup restart", lambda: "done",
                    advice="see /home/raftsup x")  # fmt: skip
    named = warning("", "", "raftsup --name y start")
    (one,) = addressed([Examined(Check("c", "", lambda _: ()), (fixed, named))], words, variables)
    assert one.findings[0].fix == fix
    assert one.findings[0].advice == "see /home/raftsup x" and one.findings[0].fix is not None
    assert "--name x" not in one.findings[1].fix


def test_a_folder_of_another_user_is_told_with_how_to_look_as_him() -> None:
    found = state_dir.foreign(Path("/s t"), 0, "/no/such/file")
    assert found.severity is Severity.FAIL and "belongs to uid 0 (root)" in found.what
    assert found.fix == "sudo -u root raftsup doctor --state-dir '/s t'"


def test_what_is_open_to_others_or_closed_to_its_user_is_told_and_fixed_by_either_way(
    tmp_path: Path,
) -> None:
    state = StateDir(tmp_path / "s")
    state.prepare()
    assert list(modes.judge(state)) == []

    def spoil() -> None:
        for number, mode in enumerate((0o644, 0o400, 0o200, 0o755)):
            path = state.logs / f"{number}.log"
            path.touch()
            path.chmod(mode)

    spoil()
    shut, opened = modes.judge(state)
    assert "closed to this user" in shut.what and "open to others" in opened.what
    subprocess.run(["bash", "-c", f"{shut.fix} && {opened.fix}"], check=True)
    assert list(modes.judge(state)) == []
    spoil()
    for found in modes.judge(state):
        assert found.repair is not None and "s/logs" in found.repair()
    assert list(modes.judge(state)) == []
    state.turns.rmdir()
    state.turns.touch(mode=0o600)
    (found,) = modes.judge(state)
    assert "is not a folder" in found.what
    subprocess.run(["bash", "-c", found.fix], check=True)
    assert list(modes.judge(state)) == []


def test_the_documents_tell_what_each_check_looks_at_and_which_commands_use_it() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operating.rst").read_text()
    words = {Use.DOCTOR: "doctor", Use.PROBE: "probe", Use.DEEP: "deep", Use.LIVE: "live"}
    for check in registry.CHECKS:
        used = ", ".join(words[use] for use in Use if use in check.used_by)
        assert re.search(rf"    {check.name} +{re.escape(check.about)} +{used}\n", text), check.name
