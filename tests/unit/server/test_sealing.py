"""Sealed messages come back as they were, and nothing else does."""

import stat

import pytest

from ossia.errors import EncryptedContentError, SettingsError
from ossia.harmony.messages import Message
from ossia.server.failures import openai_error
from ossia.server.sealing import PREFIX, Sealer

MESSAGES = (
    Message("assistant", "They want \ud800 rain.", channel="analysis").with_ids(
        (1, 2), (3,), (4,), "o200k_harmony"
    ),
    Message("user", "Rain?"),
)


def test_messages_come_back_with_their_ids(tmp_path):
    path = tmp_path / "server" / "key"
    blob = Sealer(path).seal("ann", MESSAGES)
    back = Sealer(path).unseal("ann", blob)
    assert back == MESSAGES
    assert [m.sampled for m in back] == [m.sampled for m in MESSAGES]
    assert "rain" not in blob
    assert blob.startswith(PREFIX)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_the_same_messages_are_never_sealed_alike():
    sealer = Sealer()
    assert sealer.seal("", MESSAGES) != sealer.seal("", MESSAGES)


def test_every_change_is_noticed():
    sealer = Sealer()
    blob = sealer.seal("", MESSAGES[1:])
    flipped = [blob[:i] + ("A" if blob[i] != "A" else "B") + blob[i + 1 :] for i in range(len(blob))]
    cut = [blob[:i] for i in range(len(blob))]
    longer = [blob + "A", blob + "=", blob + "\n", " " + blob, blob + blob]
    for forged in [*flipped, *cut, *longer, "", PREFIX, "gAAAAA", "\ud800", PREFIX + "\ud800"]:
        with pytest.raises(EncryptedContentError):
            sealer.unseal("", forged)


def test_anothers_is_refused():
    sealer = Sealer()
    with pytest.raises(EncryptedContentError) as refused:
        sealer.unseal("bob", sealer.seal("ann", MESSAGES))
    assert refused.value.http_status == 400
    assert openai_error(refused.value)["error"]["code"] == "invalid_encrypted_content"
    with pytest.raises(EncryptedContentError):
        Sealer().unseal("", sealer.seal("", MESSAGES))


def test_a_damaged_or_unreadable_key_is_said(tmp_path):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="damaged"):
        Sealer(tmp_path / "key").seal("", MESSAGES)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="cannot be used"):
        Sealer(tmp_path / "file" / "key").seal("", MESSAGES)
