"""What an answer of an OpenAI-style endpoint means. Pure.

Nothing that a server wrote is repeated but single words that its maker chose (``error.type``,
``finish_reason``): its sentences may hold what the agent read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from raftsup.config.model import OpenAIAgent
from raftsup.runners.openai.wire import PATHS, shown, url_of

#: Too many, not ready, too busy (529 is Anthropic's): with a ``Retry-After``, a server's own word
#: that it turned the request away. An OpenClaw Gateway also hands on its model provider's 429, with
#: none, after some two minutes of its own tries.
REFUSED = frozenset({429, 503, 529})
#: A request that failed on the way or in the middle. A Gateway answers 500 or 502 to a run that
#: failed, so what follows is a second run: worth a try only early in an attempt.
BROKEN = frozenset({500, 502})
#: The longest rest that a server is granted, in seconds.
LONGEST_REST = 3600.0

#: Ways to say of a chat completion that the model had said all. A server that says nothing of
#: it (None) has answered; one that wants a tool called wants it of us, and we gave none.
_WHOLE = frozenset({None, "stop", "eos", "eos_token", "stop_sequence", "end_turn"})
_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")


#: A Gateway hands on the 401 with which its model provider answered it.
_ITS_OWN_KEY = "; if that is right, the endpoint's model provider refused the endpoint's own key"


@dataclass(frozen=True)
class Reading:
    """An answered turn: why it did not succeed ("": it did), and what the agent said last."""

    trouble: str
    text: str = ""


def read(api: Literal["responses", "chat"], data: bytes) -> Reading:
    """Read the body of a 2xx answer."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        return Reading("the endpoint answered something that is not JSON; check `baseUrl`")
    if not isinstance(answer, dict):
        return Reading("the endpoint answered JSON that is no object; check `baseUrl`")
    return _response(answer) if api == "responses" else _chat(answer)


def _chat(answer: dict[str, Any]) -> Reading:
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return _no_answer(answer, "chat completion")
    text = _text(message.get("content"))
    ended = choice.get("finish_reason")
    if message.get("tool_calls") or message.get("function_call"):
        ended = "tool_calls"
    if ended is None or (isinstance(ended, str) and ended in _WHOLE):
        return Reading("", text)
    return Reading(f"the answer is not whole: finish_reason {word(ended)}", text)


def _response(answer: dict[str, Any]) -> Reading:
    output = answer.get("output")
    if not isinstance(output, list):
        return _no_answer(answer, "response object")
    items = [item for item in output if isinstance(item, dict)]
    text = "\n".join(_text(item.get("content")) for item in items if item.get("type") == "message")
    status = answer.get("status", "completed")
    if status != "completed":
        details = answer.get("incomplete_details")
        why = word(details.get("reason"), "") if isinstance(details, dict) else error_words(answer)
        return Reading(f"the answer is not whole: status {word(status)}{_in_brackets(why)}", text)
    if any(item.get("type") == "function_call" for item in items):
        return Reading("the answer is not whole: function_call", text)
    return Reading("", text)


def _no_answer(answer: dict[str, Any], wanted: str) -> Reading:
    if answer.get("error"):
        # Some routers put a failure into a success.
        return Reading(f"the endpoint reports an error{_in_brackets(error_words(answer))}")
    return Reading(f"the endpoint answered no {wanted}; check `baseUrl` and `api`")


def _text(content: object) -> str:
    """Of ``content`` as a text, or as a list of parts, each with one."""
    if isinstance(content, str):
        return content
    parts = (
        [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    )
    said = [part.get("text", part.get("refusal")) for part in parts]
    return "".join(text for text in said if isinstance(text, str))


def error_words(answer: object) -> str:
    """The ``type`` and ``code`` of an error object, where they are words."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return ""
    words = [word(error.get(field), "") for field in ("type", "code")]
    return " ".join(dict.fromkeys(word for word in words if word))


def word(value: object, otherwise: str = "unknown") -> str:
    """``value`` if it is one harmless word or a number."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _WORD.fullmatch(text) else otherwise


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def refusal(
    agent: OpenAIAgent, status: int, data: bytes, location: str = "", elsewhere: str = ""
) -> str:
    """What an answer that is not 2xx means, and what to do about it. ``elsewhere``: the URL, where
    it is not the agent's path that was asked.
    """
    try:
        words = error_words(orjson.loads(data))
    except orjson.JSONDecodeError:
        words = ""
    said = f"{status} {words}".rstrip()
    url = elsewhere or shown(url_of(agent, PATHS[agent.api]))
    if 300 <= status < 400:
        return (
            f"{url} redirects to {_host(location)} ({status}), and the key is not taken there;"
            " write the address that answers by itself as `baseUrl`"
        )
    if status in (401, 403):
        if not agent.api_key:
            return f"{url} asks for a key ({said}); set `apiKey`"
        return f"{url} refused the key ({said}); check `apiKey`{'' if elsewhere else _ITS_OWN_KEY}"
    if status in (404, 405):
        return f"{not_there(agent)} ({said})"
    if status in (408, 504):
        return f"{url} gave up waiting ({said}); the agent may go on all the same"
    if status in REFUSED:
        return f"{url} takes no request now ({said})"
    if status >= 500:
        return f"{url} broke off ({said}); see the endpoint's own log"
    return (
        f"{url} does not take the request ({said}); check `model` ({agent.model}) with"
        " `raftsup config check --live`"
    )


def not_there(agent: OpenAIAgent) -> str:
    setting = "responses" if agent.api == "responses" else "chatCompletions"
    return (
        f"{shown(url_of(agent, PATHS[agent.api]))} is not there, or it knows no model"
        f" {agent.model}; check `baseUrl`, `api` and `model`; an OpenClaw Gateway's"
        f" address ends in /v1, and it needs `gateway.http.endpoints.{setting}.enabled: true`"
    )


def _host(location: str) -> str:
    try:
        netloc = urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        return "an address that cannot be read"
    if not netloc:
        return "another path"
    return netloc if _HOST.fullmatch(netloc) else "an address that cannot be read"


def retry_after(value: str, now: float) -> float | None:
    """The seconds to wait that a ``Retry-After`` header asks for: a number of them, or a date
    (RFC 9110, 10.2.3). At most ``LONGEST_REST``; None where it asks for nothing readable.

    ``now`` is in Unix seconds.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST_REST)
    try:
        date = parsedate_to_datetime(value)
        until = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(until - now, 0.0), LONGEST_REST)
