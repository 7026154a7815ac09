"""This host's identity before Gateways: an Ed25519 key, and what it signs.

Source: ``docs/gateway/protocol/auth.md`` of openclaw 2026.9 and its signed text, version 3.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from raftsup import files
from raftsup.errors import RaftsupError
from raftsup.runners.openclaw import frames
from raftsup.runners.openclaw.frames import Challenge, Device

Key = Ed25519PrivateKey


class BadKey(RaftsupError):
    """The key file cannot be used; the message says why and what to do."""


def load(path: Path) -> Ed25519PrivateKey:
    """The key in ``path`` (PEM, 0600), made at the first call. Raises ``BadKey``."""
    try:
        if not path.exists():
            _make(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}; the state folder must be writable") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):  # junk, encrypted, unheard of
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(
            f"{path} holds no Ed25519 key; remove it (the next start makes a new one, which"
            " Gateways on other hosts must approve again)"
        )
    return key


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # The first of two that start at once wins.
    files.create(path, pem)


def device(key: Ed25519PrivateKey, challenge: Challenge, token: str) -> Device:
    """The identity, proved for this challenge. ``token``: the one that ``connect`` carries, or
    "" with a password.
    """
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    identity = hashlib.sha256(raw).hexdigest()
    signature = key.sign(signed_text(identity, challenge, token).encode())
    return Device(identity, _base64url(raw), _base64url(signature))


def signed_text(identity: str, challenge: Challenge, token: str) -> str:
    parts = (
        "v3",
        identity,
        frames.CLIENT_ID,
        frames.CLIENT_MODE,
        frames.ROLE,
        ",".join(frames.SCOPES),
        str(challenge.ts),
        token,
        challenge.nonce,
        frames.PLATFORM,
        "",  # no device family
    )
    return "|".join(parts)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
