import pytest

from ossia.errors import InputError
from ossia.server.content import ContentReader


def read(value):
    reader = ContentReader()
    return reader.text(value, "input"), [note.code for note in reader.notes]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("Hello", "Hello"),
        ([], ""),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}, "c"], "a\nb\nc"),
        ({"type": "text", "text": "a"}, "a"),
        ([{"type": "refusal", "refusal": "No."}], "No."),
        ([{"type": "something_new", "text": "a"}], "a"),
    ],
)
def test_text(value, text):
    assert read(value) == (text, [])


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,AA"}, "image"),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, "audio"),
        ({"type": "input_file", "file_id": "file-1"}, "file"),
        ({"type": "hologram"}, "hologram"),
        ({"type": "<|end|>"}, "part"),
        ({}, "part"),
    ],
)
def test_what_the_model_cannot_see(part, name):
    shown = f"[{name} not shown: this model reads text only]"
    assert read([{"type": "text", "text": "Look:"}, part]) == (f"Look:\n{shown}", ["not-shown"])


@pytest.mark.parametrize("value", [5, True, b"x", [5], [None], "\ud800", [{"text": "\ud800"}]])
def test_no_content(value):
    with pytest.raises(InputError) as error:
        read(value)
    assert error.value.param.startswith("input")
