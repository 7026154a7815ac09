"""What the fake model decides, and what it tells of the runs that it has seen."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftsup.sim import wire
from raftsup.sim.messages import Line, parse
from raftsup.sim.read import window
from raftsup.turn import notice
from tests.processes import until
from tests.support.openclaw.model import Model, running_model
from tests.support.openclaw.model_runs import Runs
from tests.support.openclaw.model_turn import (
    BATCH,
    DONE,
    FAILED,
    IDLE,
    TOOL,
    Reply,
    Where,
    check_command,
    reply,
    send_command,
    where,
)

CLI = "raft --profile support"
RESUMED = "[System] Your previous turn was interrupted by a gateway restart while OpenClaw …"
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(
    lambda text: not text.endswith("\n")
)
WORDS = st.text("abc#@0'`$é", min_size=1)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def noticed(profile: str = "support") -> dict[str, Any]:
    return user(notice(["raft"], profile))


def step(answer: Reply, *results: str) -> list[dict[str, Any]]:
    """An answer as the Gateway gives it back, with what came of its commands."""
    calls = [
        {"function": {"name": TOOL, "arguments": json.dumps({"command": command})}}
        for command in answer.commands
    ]
    tools = [{"role": "tool", "content": result} for result in results]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *tools]


def printed(*lines: Line) -> str:
    """As ``message check`` prints them."""
    return "".join(
        f"[target={line.target} msg={line.id} time=2026-11-26 08:00:00Z type=human]"
        f" @{line.sender}: {line.text}\n"
        for line in lines
    )


def test_a_notice_is_followed_by_reading_answering_and_reading_again() -> None:
    talk = [noticed()]
    read = reply(talk)
    assert read.commands == (check_command(CLI),)
    hello = Line("#general", "00000001", "ann", "hello")
    talk += step(read, printed(hello))
    sent = reply(talk)
    assert sent.commands == (send_command(CLI, hello),)
    talk += step(sent, "(no output)")
    again = reply(talk)
    assert again == read
    talk += step(again, "(no output)")
    assert reply(talk) == Reply(text=DONE)


def test_the_next_notice_begins_anew_whatever_was_read_before() -> None:
    talk = [noticed(), *step(Reply((check_command(CLI),)), printed(Line("#a", "m", "ann", "b")))]
    assert reply([*talk, noticed()]).commands == (check_command(CLI),)


def test_a_failed_command_ends_the_turn() -> None:
    read = reply([noticed()])
    assert reply([noticed(), *step(read, "raft: the command failed")]) == Reply(text=FAILED)


@pytest.mark.parametrize("tools", [(), ("read",)])
def test_without_the_tool_it_only_talks(tools: tuple[str, ...]) -> None:
    assert reply([noticed()], tools) == Reply(text=IDLE)


def test_without_a_notice_it_only_talks_and_belongs_to_no_run() -> None:
    assert reply([user("Read them: my letters")]) == Reply(text=IDLE)
    assert where([user("hello")]) is None


@pytest.mark.parametrize("text", [RESUMED, f"{notice(['raft'], 'support')}\n{RESUMED}"])
def test_a_resumed_session_goes_on_with_the_last_notice(text: str) -> None:
    talk = [noticed("other"), noticed(), user(text)]
    assert reply(talk).commands == (check_command(CLI),)
    assert where(talk) == Where("support", 3, resumed=True)


def test_a_call_with_results_is_the_same_run_as_the_one_before() -> None:
    talk = [{"role": "system", "content": "Be kind."}, noticed()]
    assert where(talk) == Where("support", 1, resumed=False)
    talk += step(reply(talk), "")
    assert where(talk) == Where("support", 1, resumed=False)


@given(st.lists(TEXTS, max_size=8))
def test_every_message_that_was_read_is_answered_once_and_few_at_a_time(texts: list[str]) -> None:
    owed = [Line("#general", f"{n:08x}", "ann", text) for n, text in enumerate(texts)]
    sent: list[Any] = []
    talk = [noticed()]
    while answer := reply(talk).commands:
        if answer == (check_command(CLI),):
            left = [entry for entry in owed if send_command(CLI, entry) not in sent]
            talk += step(Reply(answer), printed(*left, *left))
        else:
            assert len(answer) <= BATCH
            sent += answer
            talk += step(Reply(answer), *["(no output)"] * len(answer))
    assert sent == [send_command(CLI, entry) for entry in owed]


@given(st.lists(st.builds(Line, WORDS, WORDS, WORDS, TEXTS), unique_by=lambda line: line.id))
def test_what_is_printed_is_read_back_and_torn_lines_are_skipped(lines: list[Line]) -> None:
    assert parse("lost\n[target=#a msg=1 ti\n\n" + printed(*lines)) == lines


RAFT = """\
import sys
if sys.argv[-1] == "check":
    print(open({inbox!r}).read(), end="")
elif "read" in sys.argv:
    print(open({history!r}).read(), end="")
elif sys.argv[-1] == "--send-draft":
    print("draft", file=open({sent!r}, "a"))
else:
    target = sys.argv[sys.argv.index("--target") + 1]
    print(repr((target, sys.stdin.buffer.read().decode())), file=open({sent!r}, "a"))
"""


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """Runs a command with a ``raft`` that reads ``inbox`` and appends to ``sent``."""
    script = tmp_path / "raft.py"
    paths = {name: str(tmp_path / name) for name in ("inbox", "history", "sent")}
    (tmp_path / "history").write_text("No messages in this channel.\n")
    script.write_text(RAFT.format(**paths))

    def run(command: str) -> str:
        env = {"RAFT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.cli = shlex.join([sys.executable, str(script), "--profile", "it's"])  # type: ignore
    return run


def test_the_commands_are_safe_in_a_shell_and_mark_what_is_answered(
    shell: Any, tmp_path: Path
) -> None:
    first = Line("#it's`a`", "00000001", "ann", 'it\'s $HOME "and" `ls`\n\\%s')
    other = Line("#b", "00000012", "ann", "msg=00000001")
    (tmp_path / "inbox").write_text(printed(first, other))
    assert parse(shell(check_command(shell.cli))) == [first, other]
    shell(send_command(shell.cli, first))
    assert (tmp_path / "sent").read_text() == f"{(first.target, 'echo: ' + first.text)!r}\n"
    (tmp_path / "inbox").write_text("")
    assert parse(shell(check_command(shell.cli))) == [other]


def test_what_was_said_meanwhile_is_in_the_journal(shell: Any, tmp_path: Path) -> None:
    first = Line("#a", "00000001", "ann", "hello")
    later = Line("#a", "00000003", "ann b", "and\nthis")
    (tmp_path / "inbox").write_text(printed(first))
    assert parse(shell(check_command(shell.cli))) == [first]
    said = [
        {"id": f"0000000{n}-0000-0000-0000-000000000000", "seq": n, "content": text,
         "senderType": kind, "senderName": name, "createdAt": "2026-11-26T08:00:00.000Z"}
        for n, (kind, name, text) in enumerate(
            [("human", "ann", "hello"), ("agent", "me", "[1/2"), ("human", "ann b", "and\nthis")], 1
        )
    ]  # fmt: skip
    page = {"messages": said, "has_older": False, "has_newer": False}
    (tmp_path / "history").write_text(window("#a", page, {}) + "\n")
    assert parse(window("#a", page, {})) == [first, later]
    shell(send_command(shell.cli, first))
    (tmp_path / "inbox").write_text("")
    assert parse(shell(check_command(shell.cli))) == [later]


def test_a_torn_line_of_the_journal_swallows_nothing(shell: Any, tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "it's" / "openclaw"
    folder.mkdir(parents=True)
    (folder / "journal").write_text("[target=#a msg=00000000 ti")
    line = Line("#a", "00000001", "ann", "hello")
    (tmp_path / "inbox").write_text(printed(line))
    assert parse(shell(check_command(shell.cli))) == [line]


def test_a_raft_command_that_fails_is_told(shell: Any, tmp_path: Path) -> None:
    assert "failed" in shell(check_command(shell.cli))
    assert not (tmp_path / "sent").exists()


def test_a_run_is_counted_once_however_many_calls_it_takes() -> None:
    runs = Runs(clock=lambda: 1.0)
    for how in ("", "", "finished"):
        runs.end_call(runs.begin_call(Where("a", 1, False)), how)
    runs.end_call(runs.begin_call(Where("a", 2, False)), "finished")
    told = runs.told()
    assert [(r["asked"], r["calls"], r["how"]) for r in told["runs"]] == [
        (1, 3, "finished"),
        (2, 1, "finished"),
    ]
    assert told["most_at_once"] == {"a": 1} and not told["in_flight"]


def test_a_run_beside_an_open_one_of_the_same_profile_overlaps() -> None:
    runs = Runs()
    runs.end_call(runs.begin_call(Where("a", 1, False)))
    runs.begin_call(Where("b", 1, False))
    runs.begin_call(Where("a", 2, False))
    assert [r["overlaps"] for r in runs.told()["runs"]] == [False, False, True]


def test_two_calls_of_one_profile_at_once_are_told() -> None:
    runs = Runs()
    for _ in range(2):
        runs.begin_call(Where("a", 1, False))
    assert runs.told()["most_at_once"] == {"a": 2}


def test_after_a_kill_the_same_place_in_the_session_is_a_new_run_that_overlaps_nothing() -> None:
    runs = Runs()
    runs.end_call(runs.begin_call(Where("a", 1, False)))
    runs.close_all("killed")
    runs.end_call(runs.begin_call(Where("a", 1, True)), "finished")
    told = [(r["how"], r["resumed"], r["overlaps"]) for r in runs.told()["runs"]]
    assert told == [("killed", False, False), ("finished", True, False)]


def test_a_refused_call_that_is_repeated_is_the_same_run() -> None:
    runs = Runs()
    for how in ("status 500", "finished"):
        runs.end_call(runs.begin_call(Where("a", 1, False)), how)
    assert [(r["calls"], r["how"]) for r in runs.told()["runs"]] == [(2, "finished")]


def call(model: Model, path: str = "/v1/chat/completions", **body: Any) -> wire.Answer:
    asked = body or {"messages": [noticed()], "tools": [{"function": {"name": TOOL}}]}
    return wire.Peer(model.url).request("POST", path, {}, json.dumps(asked).encode())


def test_the_answer_is_the_same_whole_or_as_a_stream() -> None:
    with running_model() as model:
        whole = json.loads(call(model).body)["choices"][0]
        asked: dict[str, Any] = {
            "messages": [noticed()],
            "tools": [{"function": {"name": TOOL}}],
            "stream": True,
        }
        lines = call(model, **asked).body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    begin, end = (chunk["choices"][0] for chunk in chunks if chunk["choices"])
    assert end["finish_reason"] == whole["finish_reason"] == "tool_calls"
    functions = [c["function"] for c in whole["message"]["tool_calls"]]
    assert [c["function"] for c in begin["delta"]["tool_calls"]] == functions
    assert [c["index"] for c in begin["delta"]["tool_calls"]] == [0]


def test_faults_are_set_while_it_runs_and_wear_off() -> None:
    with running_model() as model:
        call(model, "/control", status=429, times=1)
        assert [call(model).status for _ in range(2)] == [429, 200]
        call(model, "/control", drop=True, times=1)
        with pytest.raises(wire.WireError):
            call(model)
        call(model, "/control", idle=True)
        assert json.loads(call(model).body)["choices"][0]["message"]["content"] == IDLE
        assert call(model, "/control", nonsense=1).status == 400


def test_a_hanging_call_answers_when_it_is_told_to() -> None:
    with running_model(hang=True) as model:
        answers: list[wire.Answer] = []
        asking = threading.Thread(target=lambda: answers.append(call(model)))
        asking.start()
        until(lambda: model.told()["in_flight"] == {"support": 1})
        model.behave(hang=False)
        asking.join(20)
        assert [answer.status for answer in answers] == [200]


def test_a_call_that_waits_meets_what_is_set_meanwhile() -> None:
    with running_model(delay=3600) as model:
        answers: list[wire.Answer] = []
        asking = threading.Thread(target=lambda: answers.append(call(model)))
        asking.start()
        until(lambda: model.told()["in_flight"] == {"support": 1})
        model.behave(hang=True)
        model.behave(status=500, delay=0)
        asking.join(20)
        assert [answer.status for answer in answers] == [500]


def test_a_caller_that_goes_away_ends_its_run() -> None:
    with running_model(hang=True) as model:
        peer = wire.Peer(model.url)
        with pytest.raises(wire.TimedOut):
            body = json.dumps({"messages": [noticed()]}).encode()
            peer.request("POST", "/v1/chat/completions", {}, body, timeout=0.1)
        until(lambda: [run["how"] for run in model.told()["runs"]] == ["dropped"])
