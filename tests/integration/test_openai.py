"""The OpenAI-style runner, against a real HTTP server."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from raftsup.paths import StateDir
from raftsup.runners.base import Step, Stop
from raftsup.runners.openai import http as openai_http
from raftsup.runners.openai import runner as openai
from raftsup.runners.openai.runner import OpenAIRunner
from raftsup.runners.transcript import open_locked
from raftsup.turn import Outcome, OutcomeKind
from tests.integration.openai_endpoint import (
    KEY,
    NOTICE,
    QUICK,
    SAID,
    Answering,
    Endpoint,
    agent_at,
    answer,
    half,
    hang_up,
    run,
    said,
    seat_in,
    serving,
    transcript,
    work_in,
)


@pytest.mark.parametrize(
    ("api", "path"), [("responses", "/v1/responses"), ("chat", "/v1/chat/completions")]
)
def test_a_turn_is_one_request_and_its_text_is_in_the_transcript_alone(
    state: StateDir, api: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    steps: list[Step] = []

    async def story() -> tuple[Outcome, Endpoint]:
        async with serving(said(api)) as endpoint:
            agent = agent_at(endpoint.url, api=api, session_header="X-Session")
            return (await run(state, agent, report=steps.append))[0], endpoint

    outcome, endpoint = asyncio.run(story())
    assert outcome == Outcome(OutcomeKind.SUCCEEDED)
    assert transcript(state) == SAID
    assert steps == [Step("thinking")]
    ((request, asked),) = endpoint.asked
    assert (request.method, request.path) == ("POST", path)
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["X-Session"] == asked["user"] == "raft:support"
    assert NOTICE in (asked.get("input"), asked.get("messages", [{}])[0].get("content"))
    others = [path for path in state.root.rglob("*") if path.is_file() and "turns" not in str(path)]
    for text in [caplog.text, outcome.reason, *(path.read_text() for path in others)]:
        assert not any(secret in text for secret in (KEY, NOTICE, "Raft woke", SAID))


def test_a_long_text_is_cut_to_the_transcripts_limit(state: StateDir) -> None:
    async def story() -> Outcome:
        async with serving(said()) as endpoint:
            return (await run(state, agent_at(endpoint.url), limit=10))[0]

    assert asyncio.run(story()).kind is OutcomeKind.SUCCEEDED
    assert (
        transcript(state) == f"{SAID[:5]}\n[... {len(SAID) - 10} bytes left out ...]\n{SAID[-5:]}"
    )


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_a_server_in_trouble_is_asked_again_under_the_same_key(
    state: StateDir, status: int
) -> None:
    async def story() -> tuple[Outcome, Endpoint]:
        async with serving(answer(status), answer(status, Retry_After="0"), said()) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0], endpoint

    outcome, endpoint = asyncio.run(story())
    assert outcome == Outcome(OutcomeKind.SUCCEEDED)
    keys = endpoint.headers("Idempotency-Key")
    assert len(keys) == 3 and len(set(keys)) == 1
    assert str(keys[0]).startswith("raftsup-7-2-")


def test_two_hosts_with_the_same_numbers_never_share_a_key(state: StateDir) -> None:
    async def story() -> Endpoint:
        async with serving(said()) as endpoint:
            await run(state, agent_at(endpoint.url))
            await run(state, agent_at(endpoint.url))
            return endpoint

    assert len(set(asyncio.run(story()).headers("Idempotency-Key"))) == 2


def test_a_rest_that_was_asked_for_is_waited(state: StateDir) -> None:
    async def story() -> tuple[Outcome, float]:
        async with serving(answer(503, Retry_After="1"), said()) as endpoint:
            began = time.monotonic()
            return (await run(state, agent_at(endpoint.url)))[0], time.monotonic() - began

    outcome, took = asyncio.run(story())
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert took >= 1.0


@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_stays_in_trouble_fails_the_attempt(state: StateDir, status: int) -> None:

    async def story() -> tuple[Outcome, OpenAIRunner]:
        async with serving(answer(status)) as endpoint:
            return await run(state, agent_at(endpoint.url), limits=replace(QUICK, resend=0.1))

    outcome, runner = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert f"({status} kind)" in outcome.reason
    assert runner.unavailable() == ""


def test_a_long_rest_costs_no_attempt_and_is_told_until_it_is_over(state: StateDir) -> None:

    async def story() -> tuple[Outcome, list[str], int]:
        seen: list[str] = []
        over = asyncio.Event()

        def changed() -> None:
            seen.append(runners[0].unavailable() if runners else "")
            if len(seen) == 2:
                over.set()

        runners: list[OpenAIRunner] = []
        async with serving(answer(429, Retry_After="1")) as endpoint:
            runner = OpenAIRunner(
                seat_in(state, agent_at(endpoint.url), changed), replace(QUICK, resend=0.5)
            )
            runners.append(runner)
            stop: Stop = asyncio.get_running_loop().create_future()
            outcome = await runner.run(work_in(state), stop)
            await asyncio.wait_for(over.wait(), 10)
            await runner.close()
            return outcome, seen, len(endpoint.asked)

    outcome, seen, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.POSTPONED
    assert asked == 1
    assert "asked for rest until" in seen[0] and "429" in seen[0]
    assert seen[1] == ""


def test_a_closed_runner_speaks_no_more(state: StateDir) -> None:
    async def story() -> list[asyncio.TimerHandle]:
        async with serving(answer(429, Retry_After="3000")) as endpoint:
            _, runner = await run(state, agent_at(endpoint.url))
            await runner.close()
            timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            return [timer for timer in timers if not timer.cancelled()]

    left = asyncio.run(story())
    assert not [timer for timer in left if "_rested" in repr(timer)]


def test_an_endpoint_that_is_not_there_costs_no_attempt(state: StateDir, unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}/v1"

    async def story() -> Outcome:
        return (await run(state, agent_at(url), limits=replace(QUICK, resend=0.05)))[0]

    assert asyncio.run(story()) == Outcome(
        OutcomeKind.POSTPONED, f"cannot reach {url}/responses: Connection refused"
    )


def test_an_endpoint_that_comes_up_in_time_is_found(
    state: StateDir, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = asyncio.Event()

    async def exchange(*asked: Any) -> openai_http.Answer:
        try:
            return await openai_http.exchange(*asked)
        except openai_http.NotSent:
            refused.set()
            raise

    monkeypatch.setattr(openai, "exchange", exchange)

    async def story() -> Outcome:
        running = asyncio.ensure_future(run(state, agent_at(f"http://127.0.0.1:{unused_port}/v1")))
        await asyncio.wait_for(refused.wait(), 10)
        async with serving(said(), port=unused_port):
            return (await running)[0]

    assert asyncio.run(story()) == Outcome(OutcomeKind.SUCCEEDED)


@pytest.mark.parametrize("lost", [hang_up, half])
def test_a_connection_lost_after_the_request_is_not_tried_again(
    state: StateDir, lost: Answering
) -> None:
    async def story() -> tuple[Outcome, int]:
        async with serving(lost) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0], len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason.endswith("the agent may go on all the same")
    assert asked == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "does not take the request (400 kind)"),
        (401, "refused the key (401 kind)"),
        (403, "refused the key (403 kind)"),
        (404, "`gateway.http.endpoints.responses.enabled: true`"),
        (504, "gave up waiting (504 kind)"),
    ],
)
def test_a_refusal_ends_the_attempt_and_says_what_to_do(
    state: StateDir, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> tuple[Outcome, int]:
        async with serving(answer(status)) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0], len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert words in outcome.reason
    assert asked == 1
    assert not any(secret in outcome.reason + caplog.text for secret in (KEY, SAID))


def test_a_redirect_is_not_followed_with_the_key(state: StateDir) -> None:
    async def story() -> tuple[Outcome, int]:
        async with serving(said()) as other, serving(answer(307, Location=other.url)) as endpoint:
            outcome, _ = await run(state, agent_at(endpoint.url))
            assert other.url.split("/")[2] in outcome.reason
            return outcome, len(other.asked)

    outcome, asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert asked == 0


def test_an_endless_answer_is_not_read_to_its_end(state: StateDir) -> None:

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b" " * 65536)
        return response

    async def story() -> Outcome:
        async with serving(endless) as endpoint:
            return (
                await run(state, agent_at(endpoint.url), limits=replace(QUICK, answer=1 << 20))
            )[0]

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED
    assert "answered more than 1 MiB" in outcome.reason


def test_an_answer_that_is_no_json_fails(state: StateDir) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"<html>{SAID}", content_type="text/html")

    async def story() -> Outcome:
        async with serving(page) as endpoint:
            return (await run(state, agent_at(endpoint.url)))[0]

    assert asyncio.run(story()) == Outcome(
        OutcomeKind.FAILED, "the endpoint answered something that is not JSON; check `baseUrl`"
    )
    assert transcript(state) == ""


@pytest.mark.parametrize(("api", "ended"), [("chat", "length"), ("responses", "incomplete")])
def test_an_answer_that_is_not_whole_fails_and_its_text_is_kept(
    state: StateDir, api: Any, ended: str
) -> None:
    async def story() -> Outcome:
        async with serving(said(api, ended)) as endpoint:
            return (await run(state, agent_at(endpoint.url, api=api)))[0]

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.FAILED and outcome.reason.endswith(ended)
    assert transcript(state) == SAID


@pytest.mark.parametrize(
    "kind", [OutcomeKind.TIMED_OUT, OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED]
)
def test_a_turn_that_must_end_hangs_up_and_says_what_may_go_on(
    state: StateDir, kind: OutcomeKind
) -> None:
    async def story() -> Outcome:
        async with serving(said()) as endpoint:
            endpoint.answers = [endpoint.hang]
            stop: Stop = asyncio.get_running_loop().create_future()
            running = asyncio.ensure_future(run(state, agent_at(endpoint.url), stop))
            await asyncio.wait_for(endpoint.hung.wait(), 10)
            stop.set_result(kind)
            outcome, _ = await running
            await asyncio.wait_for(endpoint.noticed.wait(), 10)
            return outcome

    outcome = asyncio.run(story())
    assert outcome.kind is kind
    assert outcome.reason.startswith("hung up on the endpoint; the agent goes on unless")


def test_a_turn_that_must_end_between_two_tries_leaves_nothing_under_way(
    state: StateDir,
) -> None:
    async def story() -> tuple[Outcome, int]:
        stop: Stop = asyncio.get_running_loop().create_future()

        async def refuse(request: web.Request) -> web.StreamResponse:
            asyncio.get_running_loop().call_later(0.1, stop.set_result, OutcomeKind.CANCELLED)
            return await answer(503, Retry_After="20")(request)

        async with serving(refuse) as endpoint:
            return (await run(state, agent_at(endpoint.url), stop))[0], len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    assert outcome == Outcome(OutcomeKind.CANCELLED, "no request was under way")
    assert asked == 1


def test_a_stop_that_came_before_the_start_sends_nothing(state: StateDir) -> None:
    async def story() -> tuple[Outcome, int]:
        stop: Stop = asyncio.get_running_loop().create_future()
        stop.set_result(OutcomeKind.CANCELLED)
        async with serving(said()) as endpoint:
            return (await run(state, agent_at(endpoint.url), stop))[0], len(endpoint.asked)

    assert asyncio.run(story()) == (Outcome(OutcomeKind.CANCELLED, "nothing was sent"), 0)


def test_a_transcript_that_is_still_locked_starts_no_second_attempt(state: StateDir) -> None:
    lock = open_locked(state.transcript(7, 2))

    async def story() -> tuple[Outcome, int]:
        async with serving(said()) as endpoint:
            runner = OpenAIRunner(seat_in(state, agent_at(endpoint.url), lambda: None))
            stop: Stop = asyncio.get_running_loop().create_future()
            return await runner.run(work_in(state), stop), len(endpoint.asked)

    outcome, asked = asyncio.run(story())
    os.close(lock)
    assert (outcome.kind, asked) == (OutcomeKind.POSTPONED, 0)
