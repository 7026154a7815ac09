"""One Gateway as all its accounts see it, against a fake one: shared, lost, found, refused."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from raftsup.backoff import Backoff
from raftsup.paths import StateDir
from tests.integration.fake_gateway import Manner
from tests.integration.openclaw_table import (
    QUICK,
    SESSION,
    SUCCEEDED,
    laid,
    play,
    ride,
    until,
)

# One connection for all.


def test_two_lanes_share_a_connection_which_the_last_closes(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            one, two = table.seat("support"), table.seat("sales", agent_id="sales")
            outcomes = await asyncio.gather(
                ride(one, table.work()).outcome(), ride(two, table.work(number=8)).outcome()
            )
            assert list(outcomes) == [SUCCEEDED, SUCCEEDED]
            assert {asked["sessionKey"] for asked in table.fake.said("agent")} == {
                "agent:main:raft:support", "agent:sales:raft:sales",
            }  # fmt: skip
            assert table.fake.connections == 1
            await table.leave(one)
            assert table.fake.open == 1 and not two.unavailable()
            await table.leave(two)
            await until(lambda: table.fake.open == 0)

    play(story())


def test_another_token_is_another_connection(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            good, bad = table.seat(), table.seat(token="wrong")
            await until(lambda: not good.unavailable() and "this token" in bad.unavailable())

    play(story())


# Why no turn can start.

AWAY = {
    "token": (
        Manner(),
        {"token": "wrong"},
        "it does not take this token; compare the agent's token (or OPENCLAW_GATEWAY_TOKEN) with"
        " gateway.auth.token on the Gateway's host (AUTH_TOKEN_MISMATCH)",
    ),
    "scopes": (Manner(scopes=[]), {}, "it took the connection without operator.read and"),
    "boot": (Manner(boot_told=False), {}, "which does not tell one boot from the next"),
    "protocol": (Manner(protocol=3), {}, "it speaks protocol 3, raftsup speaks 4"),
    "nonsense": (Manner(first="hello?"), {}, "it is not JSON"),
    "no challenge": (Manner(first='{"type":"event","event":"tick"}'), {}, "no connect.challenge"),
    "hangs up": (Manner(lose_before={"connect"}), {}, "it closed the connection (code 1011)"),
}


@pytest.mark.parametrize("case", AWAY)
def test_a_gateway_that_cannot_be_used_says_why_and_heals(state: StateDir, case: str) -> None:
    manner, more, words = AWAY[case]

    async def story() -> None:
        async with laid(state, manner) as table:
            seat = table.seat(**more)
            seen: set[str] = set()

            def told() -> bool:
                seen.add(seat.unavailable())
                return any(words in text for text in seen)

            await until(told, 3)
            assert all(text.startswith("the Gateway ws://127.0.0.1:") for text in seen if text)
            assert table.changes
            if not more:
                table.fake.manner = Manner()
                await until(lambda: not seat.unavailable())

    play(story())


def test_a_gateway_that_is_down_says_so_and_is_found_when_it_is_up(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            await table.fake.stop()
            seat = table.seat()
            url = f"the Gateway ws://127.0.0.1:{table.fake.port}"
            assert seat.unavailable() == f"{url}: connecting"
            await until(lambda: "refused" in seat.unavailable())
            assert seat.unavailable() == f"{url}: it cannot be reached: Connection refused"
            before = table.changes
            await table.fake.start()
            await until(lambda: not seat.unavailable())
            assert table.changes > before
            before = table.changes
            await table.fake.stop()
            await until(lambda: seat.unavailable())
            assert table.changes > before

    play(story())


def test_a_gateway_that_starts_is_waited_for_as_long_as_it_says(state: StateDir) -> None:
    starting = {"code": "UNAVAILABLE", "message": "sidecars", "retryable": True,
                "retryAfterMs": 120}  # fmt: skip

    async def story() -> None:
        async with laid(state, Manner(refusals=[starting])) as table:
            seat = table.seat()
            await until(lambda: "it is starting" in seat.unavailable())
            assert await ride(seat, table.work()).outcome() == SUCCEEDED
            assert table.fake.connections == 2

    play(story())


def test_a_gateway_that_wants_approval_names_the_request(state: StateDir) -> None:
    details = {"code": "PAIRING_REQUIRED", "requestId": "request-1"}
    unknown = {"code": "NOT_PAIRED", "message": "pairing required", "details": details}

    async def story() -> None:
        async with laid(state, Manner(refusals=[unknown] * 3)) as table:
            seat = table.seat()
            await until(lambda: "`openclaw devices approve request-1`" in seat.unavailable())
            await until(lambda: not seat.unavailable())  # after somebody did

    play(story())


def test_a_gateway_that_has_just_started_is_left_to_its_own_recovery_first(
    state: StateDir,
) -> None:
    async def story() -> None:
        async with laid(state, Manner(uptime_ms=500)) as table:
            seat = table.seat()
            await until(lambda: "it has just started" in seat.unavailable())
            before = table.changes
            await until(lambda: table.changes > before)
            assert seat.unavailable() == ""

    play(story())


def test_a_session_that_will_be_resumed_is_not_sent_a_new_run(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            table.fake.rows[SESSION] = {"key": SESSION, "status": "running", "abortedLastRun": True}
            riding = ride(table.seat(), table.work())
            await until(lambda: len(table.fake.said("sessions.describe")) >= 3)
            assert not table.fake.said("agent") and not table.remembered
            table.fake.rows[SESSION] = {"key": SESSION, "status": "done"}
            assert await riding.outcome() == SUCCEEDED

    play(story())


def test_a_bad_key_file_is_this_gateways_trouble_until_somebody_removes_it(
    state: StateDir,
) -> None:
    async def story() -> None:
        state.device_key.write_text("junk")
        async with laid(state) as table:
            seat = table.seat()
            await until(lambda: f"{state.device_key} holds no Ed25519 key" in seat.unavailable())
            state.device_key.unlink()
            await until(lambda: not seat.unavailable())

    play(story())


@pytest.mark.parametrize("speaks", [b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"])
def test_what_is_no_gateway_at_all_holds_nobody_up(state: StateDir, speaks: bytes) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(speaks)
        await reader.read()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(stranger, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with laid(state, timings=replace(QUICK, connect=0.1)) as table:
            seat = table.seat(url=f"ws://127.0.0.1:{port}")
            words = "it answered HTTP 404: is it" if speaks else "no answer within 0.1 s"
            await until(lambda: words in seat.unavailable(), 3)
        server.close()

    play(story())


def test_a_handshake_that_hangs_is_given_up(state: StateDir) -> None:
    async def story() -> None:
        async with laid(
            state, Manner(hang={"connect"}), timings=replace(QUICK, connect=0.1)
        ) as table:
            seat = table.seat()
            await until(lambda: "no answer to connect within 0.1 s" in seat.unavailable())
            await until(lambda: table.fake.connections >= 2)
            table.fake.manner = Manner()
            await until(lambda: not seat.unavailable())

    play(story())


def test_a_gateway_that_hangs_up_at_once_is_not_hammered(state: StateDir) -> None:
    waits: list[int] = []

    class Counted(Backoff):
        def delay(self, failures: int, random: float = 0.0) -> float:
            waits.append(failures)
            return 0.005

    timings = replace(QUICK, backoff=Counted(1.0, 5.0))

    async def story() -> None:
        async with laid(state, timings=timings) as table:
            table.seat()
            for count in range(1, 4):
                await until(lambda count=count: table.fake.connections >= count)
                await until(lambda: table.fake.open)
                await until(lambda: not table.seats[0].unavailable())
                await table.fake.drop()
            await until(lambda: len(waits) >= 3)
            assert waits[:3] == [1, 2, 3]

    play(story())


def test_nothing_that_the_gateway_says_of_itself_is_logged_with_the_token(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        async with laid(state) as table:
            seat = table.seat(token="wrong-secret")
            await until(lambda: "this token" in seat.unavailable())

    play(story())
    assert "gateway.away" in caplog.text and "wrong-secret" not in caplog.text


# TLS.


@dataclass(frozen=True)
class Certificate:
    """Self-signed, for 127.0.0.1."""

    context: ssl.SSLContext
    fingerprint: str


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return Certificate(context, made.fingerprint(hashes.SHA256()).hex())


def test_a_certificate_with_the_right_fingerprint_is_trusted(
    state: StateDir, certificate: Certificate
) -> None:
    async def story() -> None:
        async with laid(state, tls=certificate.context) as table:
            url = f"wss://127.0.0.1:{table.fake.port}"
            seat = table.seat(url=url, tls_fingerprint=certificate.fingerprint)
            assert await ride(seat, table.work()).outcome() == SUCCEEDED

    play(story())


def test_another_certificate_is_told_with_both_fingerprints_and_learns_no_token(
    state: StateDir, certificate: Certificate
) -> None:
    async def story() -> None:
        async with laid(state, tls=certificate.context) as table:
            url = f"wss://127.0.0.1:{table.fake.port}"
            seat = table.seat(url=url, tls_fingerprint="ab" * 32)
            await until(lambda: "certificate" in seat.unavailable(), 3)
            assert seat.unavailable() == (
                f"the Gateway {url}: it cannot be reached: its certificate's SHA-256 is"
                f" {certificate.fingerprint}, tlsFingerprint says {'ab' * 32}"
            )
            assert not table.fake.asked

    play(story())


def test_a_certificate_of_an_unknown_issuer_says_what_to_set(
    state: StateDir, certificate: Certificate
) -> None:
    async def story() -> None:
        async with laid(state, tls=certificate.context) as table:
            seat = table.seat(url=f"wss://127.0.0.1:{table.fake.port}")
            await until(lambda: "its certificate is not trusted (self" in seat.unavailable(), 3)
            assert "set the agent's tlsFingerprint" in seat.unavailable()
            assert not table.fake.asked

    play(story())


def test_wss_where_no_tls_is_spoken_says_so(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            seat = table.seat(url=f"wss://127.0.0.1:{table.fake.port}")
            await until(lambda: "does the Gateway speak wss there?" in seat.unavailable(), 3)

    play(story())


def test_a_name_that_has_no_address_is_told(state: StateDir) -> None:
    async def story() -> None:
        async with laid(state) as table:
            seat = table.seat(url="wss://gateway.invalid:1")
            await until(lambda: "no address for gateway.invalid: " in seat.unavailable(), 5)

    play(story())
