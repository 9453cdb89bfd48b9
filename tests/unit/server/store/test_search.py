"""The search finds parts of words in Korean and English, and takes no user's text for its own syntax."""

import pytest

SAID = {
    "resp_1": "The weather in Seoul is fine today",
    "resp_2": "오늘 서울 날씨는 맑습니다",
    "resp_3": 'a "quoted" word AND 100% of under_score',
    "resp_4": "an-identifier-that-is-longer-than-the-phrase-asked-for",
}


@pytest.fixture
def found(in_store, response, conversation, item):
    async def fill(store):
        for at, (id, text) in enumerate(SAID.items()):
            await store.put_response(response(id, text=text, created_at=at))
        await store.put_conversation(conversation())
        await store.add_items("", "conv_1", [item(text="부산 날씨와 seoul 이야기")])

    in_store(fill)
    return lambda text, limit=9: [hit.id for hit in in_store(lambda s: s.search("", text, limit=limit))]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("weather", ["resp_1"]),
        ("WEATH", ["resp_1"]),
        ("seoul", ["msg_1", "resp_1"]),
        ("날씨", ["msg_1", "resp_2"]),
        ("서울 날씨", ["resp_2"]),
        ("맑습니다 날씨", ["resp_2"]),
        ("in", ["resp_1"]),
        ('"quoted"', ["resp_3"]),
        ("AND", ["resp_3"]),
        ("fine OR word", []),
        ("100%", ["resp_3"]),
        ("%", ["resp_3"]),
        ("_", ["resp_3"]),
        ("\\", []),
        ("weather*", []),
        ("text:weather", []),
        ("NEAR(a b)", []),
        ("^weather", []),
        ('"', ["resp_3"]),
        ('"""', []),
        ("", []),
        ("   ", []),
        ("\ud800\ud801\ud802", []),
        ("wea\0ther", ["resp_1"]),
        ("x" * 100_000, []),
        ("we " * 10_000, ["resp_1"]),
        ("an-identifier-that-is-longer-than-the-phrase", ["resp_4"]),
        ("an-identifier-that-is-longer-than-the-other", []),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_a_search_finds(found, text, ids) -> None:
    assert found(text) == ids


def test_the_limit(found) -> None:
    assert found("날씨", limit=1) == ["msg_1"]


def test_a_hit_says_where_and_shows_the_line(in_store, response, found) -> None:
    long = "before " * 100 + "needle\n\nnext line" + " after" * 100
    in_store(lambda s: s.put_response(response("resp_9", text=long, conversation_id="conv_7")))
    (hit,) = in_store(lambda s: s.search("", "needle", limit=9))
    assert (hit.kind, hit.owner, hit.id, hit.conversation_id) == ("response", "", "resp_9", "conv_7")
    assert hit.excerpt[0] == hit.excerpt[-1] == "…"
    assert "needle next line" in hit.excerpt
    assert len(hit.excerpt) == 122


def test_a_text_that_was_replaced_is_found_no_more(in_store, response, found) -> None:
    in_store(lambda s: s.put_response(response("resp_1", text="nothing of the kind")))
    assert found("weather") == []
    assert found("nothing") == ["resp_1"]
