"""Reading requests: durations, options of wrong types, names."""

import pytest

from ossia.errors import InputError
from ossia.server.ollama.asked import keep_alive, model_name, read_asked
from ossia.server.ollama.spelling import spelled


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0),
        (-1, -1),
        ("-1", -1),
        ("5m", 300),
        ("1h30m", 5400),
        ("300ms", 0.3),
        (2.5, 2.5),
        ("-1m", -60),
    ],
)
def test_durations_are_seconds_or_as_go_writes_them(given, seconds):
    assert keep_alive(given) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("given", ["soon", "5 m", "5mx", [], True])
def test_another_duration_is_refused(given):
    with pytest.raises(InputError):
        keep_alive(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": {"temperature": "hot"}},
        {"options": {"temperature": -1}},
        {"options": {"seed": True}},
        {"options": {"stop": [1]}},
        {"options": []} | {"options": ["x"]},
        {"think": 3},
        {"stream": "yes"},
        {"logprobs": "yes"},
    ],
)
def test_a_field_of_a_wrong_type_is_refused_before_anything_waits(wrong):
    with pytest.raises(InputError):
        read_asked({"model": "gpt-oss:20b", **wrong})


def test_a_model_is_named_under_either_key():
    assert model_name({"name": " gpt-oss:20b "}) == "gpt-oss:20b"
    with pytest.raises(InputError, match="model is required"):
        model_name({"model": ""})


def test_every_name_is_spelled_with_a_tag():
    assert spelled("openai/gpt-oss-safeguard-120b") == "gpt-oss-safeguard:120b"
    assert spelled("someone/finetune") == "someone/finetune:latest"
