"""The dispatcher's Unix socket: newline-delimited JSON, one object a line each way.

Only the state folder's owner (or root) is heard; the kernel tells who calls. Requests are
``{"verb": …}`` with the fields below; answers are ``{"ok": true, …}`` or ``{"ok": false,
"error": "…"}``.

=============  ======================  =======================================================
verb           fields                  what it does
=============  ======================  =======================================================
``doorbell``                           look for newly queued turns; **no answer**
``status``                             lanes, running turns, what is held
``pause``      ``lane`` (default all)  start nothing more in the lane; kept across restarts
``resume``     ``lane`` (default all)  take that back
``cancel``     ``turn``                end a queued or running turn
``retry``      ``turn``                queue a failed, timed out or cancelled turn again
``dismiss``    ``turn``                let a failed or timed out turn be
``run``        ``account``             queue a turn without a wake
``reload``                             read the config file again; not below a parent of ours
``subscribe``                          from now on a line for each event, until hung up
=============  ======================  =======================================================
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from raftsup.dispatcher import scheduler
from raftsup.dispatcher import status as documents
from raftsup.dispatcher.dispatcher import Dispatcher
from raftsup.errors import RaftsupError
from raftsup.turn import IllegalMove

#: A longer line is a mistake; the connection is closed.
MAX_LINE = 64 * 1024
#: A subscriber that leaves this many bytes unread is hung up on: events never wait for anyone.
MAX_BACKLOG = 1 << 20

Answer = dict[str, Any]
Verb = Callable[[Mapping[str, Any]], Answer]


class BadRequest(RaftsupError):
    """The request cannot be carried out as it is; the message says why."""


class Server:
    """Carries out ``verbs`` and sends events to those who subscribed."""

    def __init__(self, doorbell: Callable[[], None]) -> None:
        self.verbs: dict[str, Verb] = {}
        self._doorbell = doorbell
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._listening: asyncio.Server | None = None

    async def keep(self, path: Path) -> None:
        """Listen at ``path`` again where that was deleted. Raises ``OSError``."""
        if not path.exists():
            if self._listening is not None:
                self._listening.close()
            await self.listen(path)

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()

    async def listen(self, path: Path) -> asyncio.Server:
        """Bind ``path``, 0600. The caller holds the dispatcher's lock, so a socket is stale."""
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._listening = await asyncio.start_unix_server(
                self._serve, str(path), limit=MAX_LINE
            )
            return self._listening
        finally:
            os.umask(before)

    def publish(self, event: dict[str, object]) -> None:
        """Send ``event`` to every subscriber, waiting for none."""
        line = orjson.dumps(event) + b"\n"
        for writer in list(self._subscribers):
            if writer.transport.get_write_buffer_size() > MAX_BACKLOG:
                self._subscribers.discard(writer)
                writer.transport.abort()
            else:
                writer.write(line)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid not in (os.getuid(), 0):
                _answer(writer, _no(f"uid {uid} may not speak to this dispatcher"))
                return
            while line := await reader.readline():
                self._hear(line, writer)
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # hung up, or a line over MAX_LINE
        except asyncio.CancelledError:
            pass  # the dispatcher ends; Python 3.11's streams would print this as an error
        finally:
            self._subscribers.discard(writer)
            writer.close()

    def _hear(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = orjson.loads(line)
        except orjson.JSONDecodeError:
            _answer(writer, _no("not JSON"))
            return
        verb = request.get("verb") if isinstance(request, dict) else None
        if verb == "doorbell":
            self._doorbell()
        elif verb == "subscribe":
            self._subscribers.add(writer)
            _answer(writer, {"ok": True})
        elif isinstance(verb, str) and verb in self.verbs:
            _answer(writer, _carry_out(self.verbs[verb], request))
        else:
            known = ", ".join(sorted([*self.verbs, "doorbell", "subscribe"]))
            _answer(writer, _no(f"unknown verb; there are {known}"))


def _carry_out(verb: Verb, request: Mapping[str, Any]) -> Answer:
    try:
        return {"ok": True, **verb(request)}
    except RaftsupError as error:
        return _no(str(error))


def _no(error: str) -> Answer:
    return {"ok": False, "error": error}


def _answer(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(orjson.dumps(answer) + b"\n")


def peer_uid(connection: socket.socket) -> int:
    """The uid of the process at the other end of a Unix socket, as the kernel knows it."""
    if sys.platform == "linux":
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    # macOS and the BSDs: struct xucred {version, uid, ...} behind LOCAL_PEERCRED (1) at level 0.
    raw = connection.getsockopt(0, 1, 76)
    return int(struct.unpack_from("Ii", raw)[1])


def verbs_of(dispatcher: Dispatcher, reload: Callable[[], None]) -> dict[str, Verb]:
    since = time.time()

    def status(_: Mapping[str, Any]) -> Answer:
        return dict(documents.of(dispatcher, since))

    def lane_of(request: Mapping[str, Any]) -> str:
        lane = request.get("lane", scheduler.ALL)
        known = {account.lane for account in dispatcher.config.accounts} | {scheduler.ALL}
        if not isinstance(lane, str) or lane not in known:
            raise BadRequest(f"no lane {lane!r}; there are {', '.join(sorted(known))}")
        return lane

    def set_paused(paused: bool) -> Verb:
        def verb(request: Mapping[str, Any]) -> Answer:
            lane = lane_of(request)
            dispatcher.set_paused(lane, paused)
            return {"lane": lane, "paused": paused}

        return verb

    def reloaded(_: Mapping[str, Any]) -> Answer:
        reload()
        return {}

    return {
        "status": status,
        "pause": set_paused(True),
        "resume": set_paused(False),
        "cancel": lambda request: _cancel(dispatcher, _turn_of(request)),
        "retry": lambda request: _retry(dispatcher, _turn_of(request)),
        "dismiss": lambda request: _dismiss(dispatcher, _turn_of(request)),
        "run": lambda request: _run(dispatcher, request),
        "reload": reloaded,
    }


def _turn_of(request: Mapping[str, Any]) -> int:
    turn = request.get("turn")
    if not isinstance(turn, int) or isinstance(turn, bool) or turn < 1:
        raise BadRequest('"turn" must be a turn\'s number')
    return turn


def _cancel(dispatcher: Dispatcher, turn: int) -> Answer:
    try:
        return {"turn": dispatcher.cancel(turn).id}
    except IllegalMove as error:
        raise BadRequest(f"turn {turn} has ended already: it is {error.turn.state}") from error


def _retry(dispatcher: Dispatcher, turn: int) -> Answer:
    try:
        return {"turn": dispatcher.retry(turn).id}
    except IllegalMove as error:
        raise BadRequest(
            f"turn {turn} is {error.turn.state}: only one that failed, timed out or was cancelled"
            f" can be queued again; `raftsup turn run {error.turn.account}` starts a new one"
        ) from error


def _dismiss(dispatcher: Dispatcher, turn: int) -> Answer:
    try:
        return {"turn": dispatcher.dismiss(turn).id}
    except IllegalMove as error:
        raise BadRequest(
            f"turn {turn} is {error.turn.state}: only one that failed or timed out can be dismissed"
        ) from error


def _run(dispatcher: Dispatcher, request: Mapping[str, Any]) -> Answer:
    account = dispatcher.config.account(str(request.get("account")))
    if account is None:
        known = ", ".join(account.id for account in dispatcher.config.accounts) or "none"
        raise BadRequest(f"no account {request.get('account')!r}; there are {known}")
    if not account.runs:
        why = account.problem or "enabled: false in the config"
        raise BadRequest(f"account {account.id} does not run: {why}")
    if dispatcher.draining:
        raise BadRequest("the host is stopping and starts no turn; run it when it is up again")
    return {"turn": dispatcher.run_once(account.id, "operator").id}
