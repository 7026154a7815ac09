"""This host's identity before Gateways."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from raftsup.runners.openclaw import identity
from raftsup.runners.openclaw.frames import Challenge

CHALLENGE = Challenge("the-nonce", 1_795_254_555_005)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def test_the_key_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    first = identity.load(path)
    written = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert raw(identity.load(path)) == raw(first)
    assert path.read_bytes() == written
    assert os.listdir(tmp_path) == ["device.pem"]  # no half-made one beside it


def test_two_who_make_it_at_once_have_the_same_key(tmp_path: Path) -> None:
    path, made = tmp_path / "device.pem", []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait()
        made.append(raw(identity.load(path)))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8 and len(set(made)) == 1
    assert os.listdir(tmp_path) == ["device.pem"]


def test_what_a_killed_maker_with_our_pid_left_stands_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"device.pem.{os.getpid()}").write_text("half")
    identity.load(tmp_path / "device.pem")


def pem(key: object, secret: bytes = b"") -> bytes:
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, how)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(generate_private_key(SECP256R1())),
        pem(Ed25519PrivateKey.generate(), b"passphrase"),
    ],
    ids=["empty", "junk", "broken", "another kind of key", "encrypted"],
)
def test_a_file_that_holds_no_key_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "device.pem"
    path.write_bytes(content)
    with pytest.raises(identity.BadKey) as refused:
        identity.load(path)
    assert str(refused.value) == (
        f"{path} holds no Ed25519 key; remove it (the next start makes a new one, which Gateways"
        " on other hosts must approve again)"
    )
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "device.pem"
    with pytest.raises(identity.BadKey, match="No such file or directory; the state folder must"):
        identity.load(path)


@pytest.mark.parametrize("token", ["the-token", ""])
def test_the_signature_is_over_the_documented_text(token: str) -> None:
    key = Ed25519PrivateKey.generate()
    device = identity.device(key, CHALLENGE, token)
    assert decoded(device.public_key) == raw(key)
    assert device.id == hashlib.sha256(raw(key)).hexdigest()
    text = (
        f"v3|{device.id}|gateway-client|backend|operator|operator.read,operator.write"
        f"|1795254555005|{token}|the-nonce|linux|"
    )
    public = Ed25519PublicKey.from_public_bytes(decoded(device.public_key))
    public.verify(decoded(device.signature), text.encode())  # raises if it is not
    assert "=" not in device.public_key + device.signature
