"""API keys: only hashes on the disk, changes taken up at once, and no way in when the file breaks."""

import json
import os

import pytest

from ossia.errors import InputError, NotFoundError, SettingsError, UnauthorizedError
from ossia.server.operations.keys import ENVIRONMENT, KeyRing, create, read, revoke


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config" / "keys.json"


def test_a_key_is_kept_as_its_hash_alone(path):
    secret = create(path, "laptop", sees_reasoning=False, at_once=2)
    assert secret not in path.read_text()
    (key,) = read(path)
    assert (key.name, key.sees_reasoning, key.at_once) == ("laptop", False, 2)
    assert KeyRing(path).check(secret) == key
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", [None, "", "ossia-x", "ossia-é\udc80"])
def test_a_wrong_key_opens_nothing(path, wrong):
    create(path, "laptop")
    with pytest.raises(UnauthorizedError):
        KeyRing(path).check(wrong)


def test_without_any_key_none_is_needed(path):
    assert not KeyRing(path).needed


def test_the_key_of_the_environment_is_one_too(path):
    ring = KeyRing(path, "a long word")
    assert ring.needed
    assert ring.check("a long word").id == ENVIRONMENT
    with pytest.raises(UnauthorizedError):
        ring.check("another")


def test_a_running_server_takes_up_changes_and_revoking_the_last_key_opens_nothing(path):
    ring = KeyRing(path)
    secret = create(path, "a")
    assert ring.needed
    assert ring.check(secret).name == "a"
    assert revoke(path, "a").name == "a"
    with pytest.raises(UnauthorizedError):
        ring.check(secret)
    assert ring.needed


def test_a_file_that_breaks_later_lets_nobody_in(path):
    secret = create(path, "a")
    ring = KeyRing(path)
    path.write_text("{")
    assert ring.needed
    with pytest.raises(UnauthorizedError):
        ring.check(secret)


def test_keys_are_revoked_by_name_or_id_and_names_are_unique(path):
    create(path, "a")
    with pytest.raises(InputError):
        create(path, "a")
    revoke(path, read(path)[0].id)
    assert read(path) == []
    with pytest.raises(NotFoundError):
        revoke(path, "a")


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_names_are_printable_and_short(path, name):
    with pytest.raises(InputError):
        create(path, name)


@pytest.mark.parametrize("text", ["[]", '{"version": 2, "keys": []}', '{"version": 1, "keys": [{}]}', "\x00"])
def test_a_malformed_file_is_refused(path, text):
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError):
        read(path)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_others_may_read_is_refused(path):
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, "keys": []}))
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="others"):
        KeyRing(path)
