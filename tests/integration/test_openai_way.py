"""The way to an OpenAI-style endpoint: proxies of the environment, certificates."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from raftsup.paths import StateDir
from raftsup.runners.base import Finding
from raftsup.runners.openai.check import try_out
from raftsup.turn import Outcome, OutcomeKind
from tests.integration.openai_endpoint import (
    KEY,
    QUICK,
    Endpoint,
    agent_at,
    run,
    said,
    serving,
)


def test_a_proxy_of_the_environment_is_used(state: StateDir) -> None:
    async def story() -> tuple[Outcome, Endpoint]:
        async with serving(said()) as proxy:
            env = {"http_proxy": proxy.url.removesuffix("/v1")}
            agent = agent_at("http://agent.test/v1")
            return (await run(state, agent, env=env))[0], proxy

    outcome, proxy = asyncio.run(story())
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert proxy.headers("Host") == ["agent.test"]


def test_a_proxy_that_opens_no_tunnel_has_let_nothing_out(state: StateDir) -> None:

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    seen: list[bytes] = []

    async def story() -> Outcome:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            env = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
            return (
                await run(
                    state,
                    agent_at("https://agent.test/v1"),
                    env=env,
                    limits=replace(QUICK, resend=0.0),
                )
            )[0]

    outcome = asyncio.run(story())
    assert outcome.kind is OutcomeKind.POSTPONED
    assert outcome.reason.endswith("the proxy refused the connection (403)")
    assert seen[0].startswith(b"CONNECT agent.test:443") and KEY.encode() not in seen[0]


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_an_untrusted_certificate_gets_no_request(
    state: StateDir, untrusted: ssl.SSLContext
) -> None:

    async def story() -> tuple[Outcome, list[Finding], int]:
        async with serving(said(), tls=untrusted) as endpoint:
            agent = agent_at(endpoint.url)
            return (
                (await run(state, agent, limits=replace(QUICK, resend=0.0)))[0],
                await try_out(agent, {}),
                len(endpoint.asked),
            )

    outcome, (found,), asked = asyncio.run(story())
    assert outcome.kind is OutcomeKind.POSTPONED
    assert "its certificate is not trusted" in outcome.reason and "SSL_CERT_FILE" in outcome.reason
    assert not found.good and "its certificate is not trusted" in found.text
    assert asked == 0
