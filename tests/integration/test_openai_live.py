"""The live check of an OpenAI-style endpoint: is it there, does it know the model and the key."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from raftsup.runners.base import Finding
from raftsup.runners.openai.check import try_out
from tests.integration.openai_endpoint import (
    KEY,
    SAID,
    Answering,
    Endpoint,
    agent_at,
    answer,
    hang_up,
    said,
    serving,
)


def tried(*answers: Answering, model: str = "gpt-large") -> tuple[list[Finding], Endpoint]:
    async def story() -> tuple[list[Finding], Endpoint]:
        async with serving(*answers) as endpoint:
            agent = dataclasses.replace(agent_at(endpoint.url), model=model)
            return await try_out(agent, {}), endpoint

    return asyncio.run(story())


MODELS = answer(data={"data": [{"id": "gpt-large"}, {"id": "openclaw/main"}]})


def test_a_live_check_asks_for_the_models_with_the_key_and_calls_none() -> None:
    (found,), endpoint = tried(MODELS)
    assert found.good and "knows the model gpt-large" in found.text
    assert [(r.method, r.path) for r, _ in endpoint.asked] == [("GET", "/v1/models")]
    assert endpoint.headers("Authorization") == [f"Bearer {KEY}"]


def test_a_live_check_of_a_gateway_asks_also_for_the_path_of_its_agent() -> None:
    (known, there), endpoint = tried(MODELS, answer(400), model="openclaw/main")
    assert known.good and there.good
    assert (endpoint.asked[1][0].path, endpoint.asked[1][1]) == ("/v1/responses", {})
    (_, there), _ = tried(MODELS, answer(404), model="openclaw/main")
    assert not there.good and "endpoints.responses.enabled" in there.text


@pytest.mark.parametrize(
    ("answers", "good", "words"),
    [
        (answer(404), True, "could not be checked"),
        (answer(401), False, "refused the key"),
        (answer(403), False, "refused the key"),
        (answer(503), False, "takes no request now"),
        (answer(302, Location="https://login.test/"), False, "redirects to login.test"),
        (answer(data={"data": [{"id": "gpt-larger"}]}), False, "such as gpt-larger"),
        (hang_up, False, "hung up without an answer"),
    ],
)
def test_a_live_check_says_what_is_wrong(answers: Answering, good: bool, words: str) -> None:
    (found,), _ = tried(answers)
    assert found.good is good
    assert words in found.text and KEY not in found.text and SAID not in found.text


def test_a_live_check_ends_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[Finding]:
        async with serving(said()) as endpoint:
            endpoint.answers = [endpoint.hang]
            return await try_out(agent_at(endpoint.url), {}, 0.2)

    (found,) = asyncio.run(story())
    assert not found.good and found.text.endswith("gave no answer in 0.2 s")


def test_a_live_check_of_nothing_says_that_it_is_not_there(unused_port: int) -> None:
    async def story() -> list[Finding]:
        return await try_out(agent_at(f"http://127.0.0.1:{unused_port}/v1"), {})

    (found,) = asyncio.run(story())
    assert not found.good and found.text.endswith("Connection refused")
