"""The wake endpoint: four routes over what the account's worker hands in.

Source of the routes, headers and answers: RAFT_PROTOCOL, "POST /wake" and on. The order of the
checks of a wake is part of the contract: who (token, Host), how much, what, whether we stop, and
only then the ledger. So it is for what hooks report, but that theirs is another token.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import falcon
import orjson

from raftsup import wake
from raftsup.hook_token import TOKEN_VARIABLE, Run
from raftsup.ledger import Accepted, LedgerUnavailable
from raftsup.log import say
from raftsup.wake import Refused, Wake
from raftsup.worker import probe_key as worker_probe_key
from raftsup.worker.activity import hooks as activity_hooks
from raftsup.worker.activity.hooks import Report
from raftsup.worker.http_server import BadFraming

log = logging.getLogger("raftsup.worker")

TOKEN_HEADER = "x-raft-bridge-token"  # noqa: S105 (the header's name, not a token)
#: What each path takes. Everything else is 404 or 405, whatever Falcon would make of it
#: (its own answer to OPTIONS is 200, to an unknown method 400).
METHODS = {"/wake": "POST", "/activity": "POST", "/activity/drain": "GET", "/health": "GET"}
#: Told where the ledger takes no wake.
FULL_RETRY_MS = 30_000
#: Told to a bridge whose wake came while the worker stops: the next worker's time to be there.
STOPPING_RETRY_MS = 2_000
#: Events for a bridge that does not say how many it wants; the CLI asks for as many.
DRAIN_MOST = "50"


@dataclass(frozen=True)
class Hooks:
    """What the endpoint needs for the reports of an agent's hooks (see ``worker.activity.hooks``).
    The callables are called from several threads.
    """

    #: The running attempt whose token this is.
    run_of: Callable[[str | None], Run | None]
    take: Callable[[Run, Report], None]


@dataclass(frozen=True)
class Endpoint:
    """What the endpoint needs of its worker. The callables are called from several threads."""

    #: The secret that the bridge presents.
    token: str
    #: The port the endpoint listens on; known only once it does.
    port: Callable[[], int]
    #: The name of the running bridge's session, the same for all its wakes.
    runtime_session: Callable[[], str]
    #: Makes the wake durable. Raises ``LedgerUnavailable``.
    accept: Callable[[Wake], Accepted]
    #: The account's state, "ready" or what it lacks.
    state: Callable[[], str]
    #: Whether the worker is on its way out.
    stopping: Callable[[], bool]
    #: Counts a thing that happened: "rejected".
    count: Callable[[str], None]
    #: The doorbell: tells the dispatcher that a turn is owed.
    ring: Callable[[], None]
    #: Hands out at most so many activity events, each once, and how many were dropped.
    drain: Callable[[int], tuple[list[dict[str, Any]], int]]
    #: What a probe presents in the token's place (see ``worker.selfwake``); "": no probes.
    probe_key: str = ""
    #: Why the ledger takes no wake: "full", "held", …; "": it does.
    ledger: Callable[[], str] = lambda: ""
    #: Takes what hooks report; None where the account tells no activity.
    hooks: Hooks | None = None


@dataclass
class Slot:
    """Where the contract of an application is put that was built before there was one."""

    contract: Endpoint


def make_app(contract: Endpoint) -> falcon.App[Any, Any]:
    """The WSGI application that serves ``contract``."""
    return app_for(Slot(contract))


def app_for(slot: Slot) -> falcon.App[Any, Any]:
    """The WSGI application that serves whatever contract is in ``slot``."""
    app = falcon.App(middleware=[_Routes()])
    app.resp_options.xml_error_serialization = False
    app.add_route("/wake", _Wakes(slot))
    app.add_route("/activity", _Reports(slot))
    app.add_route("/activity/drain", _Activity(slot))
    app.add_route("/health", _Health(slot))
    app.add_error_handler(Exception, _on_error)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    app.add_error_handler(Refused, _on_refused)
    return app


class _Routes:
    """Refuses what is no route before Falcon does."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        method = METHODS.get(req.path)
        if method is None:
            raise Refused(404, f"no such path; there are {', '.join(METHODS)}")
        if req.method != method:
            resp.set_header("allow", method)
            raise Refused(405, f"{req.path} takes {method} only")


@dataclass(frozen=True)
class _Wakes:
    slot: Slot

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        # Asked before the wake is taken, so that nothing can fail after it is.
        session = self.slot.contract.runtime_session()
        if worker_probe_key.is_probe(req.get_header(TOKEN_HEADER), self.slot.contract.probe_key):
            # Each check of a wake, in the same order, and no step further.
            self._check(req)
            if why := self.slot.contract.ledger():
                raise Refused(503, f"the ledger is {why}: new wakes are refused", FULL_RETRY_MS)
            _reply(resp, worker_probe_key.STATUS, worker_probe_key.ANSWER)
            return
        try:
            wake.check_token(req.get_header(TOKEN_HEADER), self.slot.contract.token)
            accepted = self._take(req)
        except Refused as refused:
            self.slot.contract.count("rejected")
            # Not of the wake's steps: a flood of it is summarised. No reason quotes the request.
            log.warning(say("endpoint.refused", status=refused.status, reason=str(refused)))
            raise
        answer: dict[str, Any] = {"ok": True, "accepted": True, "runtimeSession": session}
        if accepted.duplicate:
            answer["duplicate"] = True
        _reply(resp, 202, answer)

    def _check(self, req: falcon.Request) -> Wake:
        """All that is asked of a wake after its token."""
        contract = self.slot.contract
        wake.check_host(req.get_header("host"), contract.port())
        checked = wake.parse(_read(req))
        if contract.stopping():
            raise Refused(503, "this account's worker is stopping", STOPPING_RETRY_MS)
        return checked

    def _take(self, req: falcon.Request) -> Accepted:
        contract, checked = self.slot.contract, self._check(req)
        try:
            accepted = contract.accept(checked)
        except LedgerUnavailable as error:
            # Its text names paths of this host: for the log, not for the answer.
            log.warning(say("ledger.unavailable", reason=str(error)))
            raise Refused(
                503,
                "the ledger cannot take the wake now; nothing was recorded",
                error.retry_after_ms,
            ) from error
        if not accepted.duplicate:
            self._ring()
        return accepted

    def _ring(self) -> None:
        # The wake is on disk: a dispatcher that does not hear the bell finds the turn later.
        try:
            self.slot.contract.ring()
        except Exception as error:
            log.warning(say("doorbell.failed", reason=_place(error)))


@dataclass(frozen=True)
class _Reports:
    slot: Slot

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            self._take(req)
        except Refused as refused:
            # No reason quotes the request; nothing else tells an operator why a hook is not heard.
            log.info(say("activity.refused", status=refused.status, reason=str(refused)))
            raise
        _reply(resp, 202, {"ok": True})

    def _take(self, req: falcon.Request) -> None:
        hooks = self.slot.contract.hooks
        if hooks is None:
            raise Refused(404, 'this account tells Raft no activity: its activity is not "turns"')
        run = hooks.run_of(req.get_header(TOKEN_HEADER))
        if run is None:
            raise Refused(
                401,
                "the x-raft-bridge-token header is missing or is not the token of an attempt that"
                f" runs now: hooks have it in {TOKEN_VARIABLE}, as long as their turn runs",
            )
        wake.check_host(req.get_header("host"), self.slot.contract.port())
        hooks.take(run, activity_hooks.parse(_read(req)))


@dataclass(frozen=True)
class _Activity:
    slot: Slot

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        wake.check_token(req.get_header(TOKEN_HEADER), self.slot.contract.token)
        wake.check_host(req.get_header("host"), self.slot.contract.port())
        most = req.get_param("max", default=DRAIN_MOST)
        if not (most.isascii() and most.isdigit() and most.strip("0")):
            raise Refused(400, "max must be a whole number, 1 or more")
        events, dropped = self.slot.contract.drain(int(most))
        answer = {"schema": "raft-activity-drain.v1", "events": events, "dropped": dropped}
        _reply(resp, 200, answer)


@dataclass(frozen=True)
class _Health:
    slot: Slot

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        wake.check_host(req.get_header("host"), self.slot.contract.port())
        state = self.slot.contract.state()
        _reply(resp, 200, {"ok": state == "ready", "state": state})


def _read(req: falcon.Request) -> bytes:
    """The whole body. Raises ``Refused``: 413 over the limit, 400 malformed or cut short."""
    declared = req.content_length
    if declared is not None and declared > wake.BODY_LIMIT:
        raise _too_large()
    # The raw stream: bounded_stream is empty for a chunked body, media has no limit.
    try:
        body: bytes = req.stream.read(wake.BODY_LIMIT + 1)
    except (OSError, BadFraming):
        raise Refused(400, "the body is not what the headers say it is") from None
    if len(body) > wake.BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> Refused:
    return Refused(413, f"the body is larger than {wake.BODY_LIMIT} bytes")


def _reply(resp: falcon.Response, status: int, answer: dict[str, Any]) -> None:
    resp.status = falcon.code_to_http_status(status)
    resp.set_header("cache-control", "no-store")
    # The bridge reads the body only if the type is exactly this.
    resp.content_type = "application/json"
    resp.data = orjson.dumps(answer)


def _on_refused(
    _req: falcon.Request, resp: falcon.Response, refused: Refused, _params: dict[str, Any]
) -> None:
    _reply(resp, refused.status, refused.answer())


def _on_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]
) -> None:
    # The title names the kind of error; the description may quote the request.
    refused = Refused(error.status_code, error.title or "the request was refused")
    _on_refused(req, resp, refused, params)


def _on_error(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    # Neither the message nor the values: either may hold what came off the wire.
    log.error(say("endpoint.broke", reason=_place(error)))
    _on_refused(req, resp, Refused(500, "an error of this endpoint; its log has it"), params)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
