"""One WebSocket connection to a Gateway: the handshake, then requests side by side."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from raftsup.config.model import OpenClawAgent
from raftsup.errors import RaftsupError
from raftsup.runners.openclaw import frames
from raftsup.runners.openclaw.frames import Answer, BadFrame, Challenge, Device, Event, Hello
from raftsup.runners.openclaw.timings import Timings
from raftsup.wait import first_of

#: Seconds without an answer to a ping before the connection counts as lost.
HEARTBEAT = 20.0

Identify = Callable[[Challenge], Device | None]


class LinkLost(RaftsupError):
    """There is no connection, or there is none any more; the message says why."""


class Refused(RaftsupError):
    """The Gateway answered that it will not."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        details = error.get("details")
        self.code = str(error.get("code", "UNKNOWN"))
        self.message = str(error.get("message", ""))
        self.details: Mapping[str, Any] = details if isinstance(details, dict) else {}
        self.retryable = error.get("retryable") is True
        after = error.get("retryAfterMs")
        #: Seconds after which the Gateway asks to be asked again; None if it did not say.
        self.retry_after = after / 1000 if isinstance(after, int) and after >= 0 else None
        super().__init__(f"{self.code}: {self.message}")


class Link:
    """An open connection. ``lost`` is resolved with the reason when it is one no more."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        on_event: Callable[[Event], None],
    ) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.hello: Hello | None = None
        self._session, self._socket, self._on_event = session, socket, on_event
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[Answer]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def greet(self, agent: OpenClawAgent, identify: Identify, timeout: float) -> Hello:
        """The handshake. Raises ``Refused``, ``LinkLost`` or ``BadFrame``."""
        first = frames.read(await self._first(timeout))
        if not isinstance(first, Event):
            raise BadFrame("it did not begin with connect.challenge")
        challenge = frames.challenge_of(first)
        self._reading = asyncio.ensure_future(self._read())
        params = frames.connect(
            challenge, token=agent.token, password=agent.password, device=identify(challenge)
        )
        self.hello = frames.hello_of(await self.request("connect", params, timeout))
        return self.hello

    async def request(
        self, method: str, params: Mapping[str, Any], timeout: float = Timings.prompt
    ) -> Mapping[str, Any]:
        """The payload of the first answer. Raises ``Refused``; ``LinkLost`` if none comes within
        ``timeout`` seconds, as a Gateway that does not answer is as good as gone.
        """
        if self.lost.done():
            raise LinkLost(self.lost.result())
        number = str(next(self._numbers))
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[number] = waiting
        try:
            await self._socket.send_str(frames.request(number, method, params))
            await first_of(waiting, self.lost, timeout=timeout)
        except ConnectionError as error:
            self._lose(str(error) or type(error).__name__)
        finally:
            del self._open[number]
        if not waiting.done():
            self._lose(f"no answer to {method} within {timeout:g} s")
            raise LinkLost(self.lost.result())
        answer = waiting.result()
        if not answer.ok:
            raise Refused(answer.error)
        return answer.payload

    async def close(self) -> None:
        self._lose("closed by raftsup")
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._socket.close(), 2)
        await self._session.close()

    async def _first(self, timeout: float) -> str:
        message = await self._socket.receive(timeout)
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            raise LinkLost("it closed the connection before the handshake")  # as it goes down
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise BadFrame("it did not begin with a text")
        return str(message.data)

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(frames.read(message.data))
        except BadFrame as error:
            self._lose(f"it sent nonsense: {error}")
        except (aiohttp.ClientError, OSError) as error:
            self._lose(str(error) or type(error).__name__)
        finally:  # whatever was raised: nobody may wait for answers that nobody reads
            code = self._socket.close_code
            self._lose(f"it closed the connection (code {code})" if code else "it broke off")

    def _take(self, frame: Answer | Event | None) -> None:
        if isinstance(frame, Event):
            self._on_event(frame)
        elif frame is not None:
            # A second answer finds nobody waiting: a run's end is asked for by agent.wait.
            waiting = self._open.get(frame.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(frame)

    def _lose(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)


async def dial(
    agent: OpenClawAgent,
    identify: Identify,
    on_event: Callable[[Event], None],
    timeout: float = Timings.connect,
) -> Link:
    """A link whose handshake is done. ``timeout``: seconds for the connection, and again for the
    handshake. Raises ``Refused``, ``LinkLost`` or ``BadFrame``; nothing
    is left open then.
    """
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
    try:
        async with asyncio.timeout(timeout):  # also for a peer that takes the call and is silent
            socket = await session.ws_connect(
                agent.url, heartbeat=HEARTBEAT, max_msg_size=0, ssl=_trust(agent), compress=0
            )
        link = Link(session, socket, on_event)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        await session.close()
        raise LinkLost(_words(error, timeout)) from error
    except BaseException:
        await session.close()
        raise
    try:
        await link.greet(agent, identify, timeout)
    except (TimeoutError, aiohttp.ClientError) as error:
        await link.close()
        raise LinkLost("it did not finish the handshake in time") from error
    except BaseException:
        await link.close()
        raise
    return link


def _trust(agent: OpenClawAgent) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
    if agent.tls_fingerprint:
        return aiohttp.Fingerprint(bytes.fromhex(agent.tls_fingerprint))
    return True


def _words(error: Exception, timeout: float) -> str:
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return (
            f"its certificate's SHA-256 is {error.got.hex()}, tlsFingerprint says"
            f" {error.expected.hex()}"
        )
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"it answered HTTP {error.status}: is it the Gateway's address?"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"its certificate is not trusted ({_why(error.os_error)}); if it is the Gateway's own,"
            " set the agent's tlsFingerprint to the certificate's SHA-256"
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return f"TLS failed ({error.os_error.strerror}): does the Gateway speak wss there?"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address for {error.host}: {error.os_error.strerror}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return str(error) or type(error).__name__


def _why(error: OSError) -> str:
    return getattr(error, "verify_message", "") or error.strerror or type(error).__name__
