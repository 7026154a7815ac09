"""What an ACP agent is seen to do in one turn: its words to the transcript, its steps to whoever
watches.

Updates come as the parsed JSON of ``session/update``: what is unknown or misshapen in them is
passed over, since a newer agent may tell more than this protocol's version knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raftsup.runners.acp.permissions import kind_of
from raftsup.runners.base import Step
from raftsup.runners.transcript import Bounded

#: Tool calls under way that are remembered at once; an agent that never ends them is no leak.
_MOST_TOOLS = 1000


class Watch:
    def __init__(self, transcript: Bounded, report: Callable[[Step], None]) -> None:
        self._transcript, self._report = transcript, report
        self._kinds: dict[str, str] = {}
        self._thinking = False
        self._full = False
        self._mid_line = False

    def update(self, update: Mapping[str, Any]) -> None:
        """Take in the ``update`` of one ``session/update``."""
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                self._thinking = False
                self._text(update.get("content"))
            case "agent_thought_chunk":
                if not self._thinking:
                    self._report(Step("thinking"))
                self._thinking = True
            case "tool_call" | "tool_call_update":
                self._thinking = False
                self._end_line()
                self._tool(update)

    def tool(self, call: Mapping[str, Any]) -> str:
        """The kind of the tool of a call; what it was called with at first counts as well."""
        if call.get("kind") is not None:
            return kind_of(call["kind"])
        return self._kinds.get(str(call.get("toolCallId")), "other")

    def note(self, data: bytes) -> None:
        """Add ``data`` to the transcript."""
        # Keep taking when the disk is full: the agent must not hang on its output.
        if self._full or not data:
            return
        try:
            self._transcript.write(data)
            self._mid_line = not data.endswith(b"\n")
        except OSError:
            self._full = True

    def close(self) -> None:
        if not self._full:
            try:
                self._transcript.close()
            except OSError:
                self._full = True

    def _text(self, content: object) -> None:
        if isinstance(content, Mapping) and isinstance(text := content.get("text"), str):
            self.note(text.encode(errors="replace"))

    def _end_line(self) -> None:
        if self._mid_line:
            self.note(b"\n")

    def _tool(self, update: Mapping[str, Any]) -> None:
        call, status = str(update.get("toolCallId")), update.get("status")
        ended = status in ("completed", "failed")
        if call not in self._kinds:
            if ended and update["sessionUpdate"] == "tool_call_update":
                return  # its end was told already, or its start never
            if len(self._kinds) >= _MOST_TOOLS:
                return
            self._kinds[call] = self.tool(update)
            self._report(Step("tool_started", self._kinds[call]))
        if ended:
            kind = self._kinds.pop(call)
            self._report(Step("tool_ended", kind, failed=status == "failed"))
