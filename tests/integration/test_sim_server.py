"""The simulated server, asked as the CLI asks the true one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftsup.sim.server import RunningWorkspace, running_workspace

API = "/internal/agent-api"


@pytest.fixture
def raft(tmp_path: Path) -> Iterator[RunningWorkspace]:
    with running_workspace(["support", "sales"], tmp_path, keepalive=0.2) as running:
        yield running


def connection(raft: RunningWorkspace) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(raft.url.removeprefix("http://"), timeout=10)


def headers(raft: RunningWorkspace, **changed: str) -> dict[str, str]:
    agent = raft.workspace.find("support")
    return {
        "authorization": f"Bearer {agent.token}",
        "x-agent-id": agent.id,
        "x-raft-client": "cli",
        "x-raft-client-capabilities": "manual-context-v1",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }


def ask(
    raft: RunningWorkspace, path: str, body: object = None, **changed: str
) -> tuple[int, dict[str, Any]]:
    """Status and JSON; a ``body`` makes it a POST."""
    asked = connection(raft)
    given = None if body is None else json.dumps(body)
    asked.request("GET" if body is None else "POST", API + path, given, headers(raft, **changed))
    answer = asked.getresponse()
    return answer.status, json.loads(answer.read())


def test_since_latest_gives_all_that_is_pending(raft: RunningWorkspace) -> None:
    empty: tuple[int, dict[str, Any]] = (
        200,
        {"wake_hints": [], "last_hint_seq": None, "has_more": False},
    )
    assert ask(raft, "/wake-hints?since=latest") == ask(raft, "/wake-hints") == empty
    seqs = [raft.workspace.post("support", "x").seq for _ in range(2)]
    _, page = ask(raft, "/wake-hints?since=latest&limit=1")
    assert [hint["seq"] for hint in page["wake_hints"]] == seqs[:1]
    assert (page["last_hint_seq"], page["has_more"]) == (seqs[0], True)
    _, page = ask(raft, f"/wake-hints?since={seqs[1]}")
    assert (page["wake_hints"], page["last_hint_seq"]) == ([], seqs[1])


@pytest.mark.parametrize("since", ["", "?since=latest", "?since=0"])
def test_a_stream_says_connected_then_what_is_pending_then_that_it_lives(
    raft: RunningWorkspace, since: str
) -> None:
    pending = raft.workspace.post("support", "x")
    asked = connection(raft)
    asked.request("GET", f"{API}/wake-hints/stream{since}", headers=headers(raft))
    stream = asked.getresponse()
    said = [stream.readline().decode().rstrip() for _ in range(8)]
    assert said[:5] == [": connected", "", "event: wake-hint", f"id: {pending.seq}", said[4]]
    assert json.loads(said[4].removeprefix("data: "))["message_id"] == pending.id
    assert said[5:] == ["", ": ka", ""]
    asked.close()


def test_a_send_is_held_by_what_its_sender_does_not_say_to_have_read(
    raft: RunningWorkspace,
) -> None:
    said = [raft.workspace.post("support", str(n), target="#ops") for n in range(5)]
    other = raft.workspace.post("support", "x", target="#b")
    body = {"target": "#ops", "content": "done", "draftReholdCount": 0}
    status, held = ask(raft, "/v2/send", {**body, "seenUpToSeq": said[0].seq})
    shown = held.pop("heldMessages")
    assert (status, held) == (
        200,
        {
            "ok": True,
            "state": "held",
            "decision": "syncing_hold",
            "newMessageCount": 4,
            "shownMessageCount": 3,
            "omittedMessageCount": 1,
            "seenUpToSeq": said[4].seq,
            "seenUpToMessageId": said[4].id,
            "firstShownSeq": said[2].seq,
            "mentionAnnotation": {"formalMentionCount": 0},
            "continueAnywaySuggested": False,
        },
    )
    assert [(m["seq"], m["senderType"]) for m in shown] == [(m.seq, "human") for m in said[2:]]
    # All of that place is acknowledged, also what was not shown; of others nothing.
    _, page = ask(raft, "/wake-hints?since=0")
    assert [hint["message_id"] for hint in page["wake_hints"]] == [other.id]
    _, sent = ask(raft, "/v2/send", {**body, "seenUpToSeq": said[4].seq})
    assert sent["state"] == "sent"
    _, first_touch = ask(raft, "/v2/send", body)
    assert (first_touch["newMessageCount"], first_touch["omittedMessageCount"]) == (3, 0)
    _, suggested = ask(raft, "/v2/send", {**body, "draftReholdCount": 3})
    assert suggested["continueAnywaySuggested"]
    anyway = {**body, "sendDraft": True, "continueAnyway": True}
    assert ask(raft, "/v2/send", anyway)[1]["state"] == "sent"


def test_history_is_a_window_and_acknowledges_nothing(raft: RunningWorkspace) -> None:
    said = [raft.workspace.post("support", str(n), target="#ops") for n in range(60)]
    _, page = ask(raft, "/history?channel=%23ops")
    assert [m["content"] for m in page["messages"]] == [str(n) for n in range(10, 60)]
    assert (page["has_more"], page["has_older"], page["has_newer"]) == (True, True, False)
    assert page["last_read_seq"] is None
    _, page = ask(raft, f"/history?channel=%23ops&after={said[3].id}&limit=2")
    assert [m["content"] for m in page["messages"]] == ["4", "5"]
    assert (page["has_older"], page["has_newer"]) == (False, True)
    _, page = ask(raft, "/wake-hints?since=0&limit=200")
    assert len(page["wake_hints"]) == 60
    assert ask(raft, "/history?channel=%23ops&before=soon")[0] == 400


def test_a_hint_names_its_channel_and_an_app_s_has_no_number(raft: RunningWorkspace) -> None:
    said = raft.workspace.post("support", "x", target="dm:@ann")
    app = raft.workspace.post("support", "y", app="github")
    _, page = ask(raft, "/wake-hints?since=0")
    first, second = page["wake_hints"]
    channel = first.pop("channel_id")
    assert first == {
        "event_id": f"wake-hint:{said.id}",
        "seq": said.seq,
        "message_id": said.id,
        "target": f"channelId:{channel}",
        "channel_name": "ann",
        "channel_type": "dm",
        "wake_reason": "message_pending",
    }
    assert (second["seq"], second["message_id"]) == (None, app.id)
    assert page["last_hint_seq"] == 0
    _, events = ask(raft, "/events?since=latest")
    assert [e["sender_type"] for e in events["events"]] == ["human", "third_party_app"]
    assert events["events"][0]["channel_id"] == channel
    told = ("last_seen_msgId", "last_seen_seq", "wake_reason", "pending_notice_ids", "has_more")
    assert [events[name] for name in told] == [None, None, None, [], False]
    assert events["reply_target"].startswith("channelId:")
    # All of it is acknowledged.
    assert ask(raft, "/wake-hints")[1]["wake_hints"] == []


def test_a_pull_of_the_inbox_gives_fifty(raft: RunningWorkspace) -> None:
    for n in range(60):
        raft.workspace.post("support", str(n))
    _, first = ask(raft, "/events?since=latest")
    assert (len(first["events"]), first["has_more"]) == (50, True)
    _, rest = ask(raft, "/events?since=latest&limit=500")
    assert (len(rest["events"]), rest["has_more"]) == (10, False)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"schema": "x"}, "schema_invalid"),
        ({"events": {}}, "events_invalid"),
        ({"events": [{}] * 201}, "events_too_many"),
        ({"events": [7]}, "event_invalid"),
        ({"events": [{"transcript_path": "/x"}]}, "transcript_path_forbidden"),
        ({"events": [{"detail": "busy"}]}, "event_field_unknown"),
    ],
)
def test_activity_that_is_not_as_agreed_is_refused_whole(
    raft: RunningWorkspace, changed: dict[str, Any], code: str
) -> None:
    body = {"schema": "raft-agent-activity-ingest.v1", "events": [], **changed}
    status, told = ask(raft, "/activity", body)
    assert (status, told["code"], bool(told["error"])) == (400, code, True)
    assert not raft.workspace.activity()


def test_activity_may_be_in_either_spelling(raft: RunningWorkspace) -> None:
    event = {"hook_event_name": "Stop", "eventId": "e", "tool_output_truncated": False}
    body = {"schema": "raft-agent-activity-ingest.v1", "events": [event]}
    counts = {"acceptedCount": 1, "rejectedCount": 0, "droppedCount": 0}
    assert ask(raft, "/activity", body) == (200, {"ok": True, **counts})


@pytest.mark.parametrize(
    ("path", "authorization", "told"),
    [
        ("/nowhere", None, ("Unregistered internal route", "auth_policy_unregistered_path")),
        ("/nowhere", "Bearer x", ("Unregistered internal route", "auth_policy_unregistered_path")),
        ("/events", "", ("Missing agent credential", None)),
        ("/events", "Bearer sk_machine_x",
         ("Invalid authentication: agent credential required", "invalid_principal")),
        ("/events", "Bearer sk_agent_x", ("Invalid agent credential", None)),
    ],
)  # fmt: skip
def test_who_may_not_ask_is_told_why(
    raft: RunningWorkspace, path: str, authorization: str | None, told: tuple[str, str | None]
) -> None:
    given = {} if authorization is None else {"authorization": authorization}
    status, body = ask(raft, path, **given)
    assert (status, (body["error"], body.get("code"))) == (401, told)


@pytest.mark.parametrize("path", ["/wake-hints", "/wake-hints/stream", "/events"])
def test_a_since_that_is_none_is_refused(raft: RunningWorkspace, path: str) -> None:
    status, body = ask(raft, f"{path}?since=soon")
    assert (status, body["code"]) == (400, "since_invalid")
