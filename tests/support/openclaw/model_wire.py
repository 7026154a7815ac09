"""An answer of the fake model as OpenAI-style chat completions have it, whole or as a stream."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.openclaw.model_turn import TOOL, Reply

_HEAD = {"id": "chatcmpl-sim", "created": 0, "model": "mock"}
_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def completion(reply: Reply) -> dict[str, Any]:
    choice = {"index": 0, "message": _message(reply), "finish_reason": _ending(reply)}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def events(reply: Reply) -> bytes:
    """The whole event stream, with its end mark."""
    message = _message(reply)
    for number, call in enumerate(message.get("tool_calls", ())):
        call["index"] = number
    choices = [
        {"index": 0, "delta": message, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": _ending(reply)},
    ]
    head = {**_HEAD, "object": "chat.completion.chunk"}
    chunks = [{**head, "choices": [choice]} for choice in choices]
    # As a true one does where the caller asked for the usage.
    chunks.append({**head, "choices": [], "usage": _USAGE})
    lines = [json.dumps(chunk) for chunk in chunks] + ["[DONE]"]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def _message(reply: Reply) -> dict[str, Any]:
    if not reply.commands:
        return {"role": "assistant", "content": reply.text}
    begun = time.time_ns()
    calls = [
        {
            "id": f"call_{begun}_{number}",
            "type": "function",
            "function": {"name": TOOL, "arguments": json.dumps({"command": command})},
        }
        for number, command in enumerate(reply.commands)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _ending(reply: Reply) -> str:
    return "tool_calls" if reply.commands else "stop"
