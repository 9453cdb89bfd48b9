"""`encrypted_content`: messages a client keeps for us without reading or changing them.

Authenticated encryption (ChaCha20-Poly1305) under a key that never leaves this machine; whose it is goes
into what is authenticated, so that nobody can use another's. What was sealed carries its token ids, and these
are taken on trust, since nobody but this server can have written them.
"""

import base64
import binascii
import contextlib
import json
import os
import secrets
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ossia.agent.saved import message_from_dict, message_to_dict
from ossia.errors import EncryptedContentError, SettingsError
from ossia.harmony.messages import Message

PREFIX = "ossia1."  # the version of all that follows
KEY_BYTES = 32
_NONCE_BYTES = 12


class Sealer:
    """Seals messages for their owner, under the key in the file `path` (made when first needed, 0600), or
    under one that is forgotten with this object."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._cipher: ChaCha20Poly1305 | None = None

    def seal(self, owner: str, messages: Sequence[Message]) -> str:
        """Messages with text as an opaque, authenticated text. Raises SettingsError for a key file that
        cannot be used."""
        values = [message_to_dict(message, ids=True) for message in messages]
        plain = zlib.compress(json.dumps(values, separators=(",", ":")).encode())
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._key().encrypt(nonce, plain, _about(owner))
        return PREFIX + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def unseal(self, owner: str, blob: str) -> tuple[Message, ...]:
        """The messages `seal` was given, with their ids. Raises EncryptedContentError for anything that was
        not sealed here for this owner, or was changed since."""
        try:
            sealed = _decoded(blob)
            plain = self._key().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _about(owner))
        except (InvalidTag, ValueError):
            raise EncryptedContentError(
                "The encrypted content could not be verified.",
                value=blob[:40],
                limit="what this server sealed for the same user, unchanged",
                remedy="Send it as it came, to the server and with the key it came from, or leave it out.",
            ) from None
        return tuple(_message(value) for value in json.loads(zlib.decompress(plain)))

    def _key(self) -> ChaCha20Poly1305:
        if self._cipher is None:
            key = secrets.token_bytes(KEY_BYTES) if self._path is None else _read_or_make(self._path)
            self._cipher = ChaCha20Poly1305(key)
        return self._cipher


def _about(owner: str) -> bytes:
    return PREFIX.encode() + owner.encode("utf-8", "surrogatepass")


def _decoded(blob: str) -> bytes:
    """The bytes of a blob; raises ValueError."""
    if not blob.startswith(PREFIX):
        raise ValueError("another prefix")
    text = blob.removeprefix(PREFIX)
    sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != text:
        raise binascii.Error("spelled in another way")
    return sealed


def _message(value: dict[str, Any]) -> Message:
    message, ids = message_from_dict(value), value.get("ids")
    if ids is None:
        return message
    header, body, end = (tuple(ids[part]) for part in ("header", "body", "end"))
    return message.with_ids(header, body, end, ids["vocabulary"])


def _read_or_make(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"the server's key {path} cannot be used: {error.strerror}",
            value=str(path),
            remedy="Make it readable, or its folder writable.",
        ) from error
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"the server's key {path} is damaged",
            value=len(key),
            limit=KEY_BYTES,
            remedy="Delete it: a new one is made, and what the old one sealed cannot be read any more.",
        )
    return key


def _make(path: Path) -> None:
    """A new key at `path`, whole or not at all; one that another process made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
