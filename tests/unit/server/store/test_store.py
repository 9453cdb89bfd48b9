"""The store through its asynchronous face: what is put is there again, for its owner alone."""

import asyncio
from dataclasses import replace

import pytest

from ossia.errors import InputError, NotFoundError
from ossia.server.store import Store

STRANGE = [
    "\ud800 lone",
    "nul \0 inside",
    "'; DROP TABLE responses; --",
    "한국어 \U0001f600",
    "x" * 1_000_000,
]


def test_a_response_comes_back_as_it_was(in_store, response) -> None:
    record = response(text="hello", previous_id="resp_0", conversation_id="conv_9")
    messages = [{"role": "assistant", "content": "x", "ids": {"vocabulary": "o200k_harmony", "body": [1, 2]}}]
    record = replace(record, messages=messages)

    async def work(store):
        await store.put_response(record)
        return await store.get_response("", "resp_1"), await store.get_response("", "resp_2")

    assert in_store(work) == (record, None)


def test_it_outlives_the_store(in_store, response) -> None:
    in_store(lambda store: store.put_response(response()))
    assert in_store(lambda store: store.get_response("", "resp_1")) == response()


def test_put_replaces(in_store, response) -> None:
    async def work(store):
        await store.put_response(response(status="in_progress"))
        await store.put_response(response("resp_2"))
        await store.put_response(response(status="completed", text="done"))
        return await store.list_responses("", after=None, limit=10, order="asc")

    assert in_store(work) == ([response(text="done"), response("resp_2")], False)


def test_an_owner_sees_only_their_own(in_store, response, conversation, item) -> None:
    async def work(store):
        await store.put_response(response(owner="a", text="secret words"))
        await store.put_conversation(conversation(owner="a"))
        await store.add_items("a", "conv_1", [item(text="secret items")])
        return [
            await store.get_response("b", "resp_1"),
            await store.delete_response("b", "resp_1"),
            (await store.list_responses("b", after=None, limit=9, order="asc"))[0],
            await store.get_conversation("b", "conv_1"),
            await store.delete_conversation("b", "conv_1"),
            await store.get_item("b", "conv_1", "msg_1"),
            await store.delete_item("b", "conv_1", "msg_1"),
            (await store.list_items("b", "conv_1", after=None, limit=9, order="asc"))[0],
            await store.search("b", "secret", limit=9),
        ], len(await store.search("a", "secret", limit=9))

    nothing, found = in_store(work)
    assert (nothing, found) == ([None, False, [], None, False, None, False, [], []], 2)


def test_two_owners_may_have_the_same_id(in_store, response) -> None:
    async def work(store):
        await store.put_response(response(owner="a", text="of a"))
        await store.put_response(response(owner="b", text="of b"))
        return [(await store.get_response(owner, "resp_1")).text for owner in ("a", "b")]

    assert in_store(work) == ["of a", "of b"]


def test_delete_says_whether_there_was_one(in_store, response) -> None:
    async def work(store):
        await store.put_response(response(text="findable"))
        gone = [await store.delete_response("", "resp_1") for _ in range(2)]
        return gone, await store.get_response("", "resp_1"), await store.search("", "findable", limit=9)

    assert in_store(work) == ([True, False], None, [])


def test_a_conversation_and_its_items(in_store, conversation, item) -> None:
    async def work(store):
        await store.put_conversation(conversation(topic="a"))
        await store.add_items("", "conv_1", [item("msg_1"), item("msg_2")])
        await store.put_conversation(conversation(topic="b"))
        await store.add_items("", "conv_1", [item("msg_3")])
        listed = await store.list_items("", "conv_1", after=None, limit=10, order="asc")
        return await store.get_conversation("", "conv_1"), listed

    found, (items, more) = in_store(work)
    assert found == conversation(topic="b")
    assert (items, more) == ([item("msg_1"), item("msg_2"), item("msg_3")], False)


@pytest.mark.parametrize(
    ("after", "limit", "order", "ids", "more"),
    [
        (None, 2, "asc", [0, 1], True),
        (None, 5, "asc", [0, 1, 2, 3, 4], False),
        ("msg_1", 2, "asc", [2, 3], True),
        ("msg_4", 2, "asc", [], False),
        (None, 2, "desc", [4, 3], True),
        ("msg_1", 2, "desc", [0], False),
    ],
)
def test_pages_of_items(in_store, conversation, item, after, limit, order, ids, more) -> None:
    async def work(store):
        await store.put_conversation(conversation())
        await store.add_items("", "conv_1", [item(f"msg_{i}") for i in range(5)])
        return await store.list_items("", "conv_1", after=after, limit=limit, order=order)

    items, has_more = in_store(work)
    assert ([item.id for item in items], has_more) == ([f"msg_{i}" for i in ids], more)


def test_an_item_put_again_stays_where_it_stands(in_store, conversation, item) -> None:
    async def work(store):
        await store.put_conversation(conversation())
        await store.add_items("", "conv_1", [item("msg_1"), item("msg_2")])
        await store.add_items("", "conv_1", [item("msg_1", "new"), item("msg_3")])
        return (await store.list_items("", "conv_1", after=None, limit=10, order="asc"))[0]

    assert in_store(work) == [item("msg_1", "new"), item("msg_2"), item("msg_3")]


def test_a_deleted_conversation_takes_its_items_and_leaves_its_responses(
    in_store, conversation, item, response
) -> None:
    async def work(store):
        await store.put_conversation(conversation())
        await store.put_response(response(conversation_id="conv_1"), [item(text="findable")])
        assert await store.get_item("", "conv_1", "msg_1") == item(text="findable")
        assert await store.delete_conversation("", "conv_1")
        return [
            await store.get_item("", "conv_1", "msg_1"),
            await store.search("", "findable", limit=9),
            (await store.get_response("", "resp_1")).conversation_id,
        ]

    assert in_store(work) == [None, [], "conv_1"]


def test_a_response_and_its_items_are_written_together_or_not_at_all(in_store, response, item) -> None:
    async def work(store):
        with pytest.raises(NotFoundError, match="conv_gone"):
            await store.put_response(response(conversation_id="conv_gone"), [item()])
        return await store.get_response("", "resp_1")

    assert in_store(work) is None


def test_a_failure_takes_nothing_from_those_committed_with_it(in_store, response, item) -> None:
    async def work(store):
        puts = [store.put_response(response(f"resp_{i}")) for i in range(50)]
        puts.insert(25, store.add_items("", "conv_gone", [item()]))
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        stored = await store.list_responses("", after=None, limit=100, order="asc")
        return [type(o) for o in outcomes if o is not None], len(stored[0])

    assert in_store(work) == ([NotFoundError], 50)


def test_an_unknown_cursor_is_refused(in_store, conversation, response) -> None:
    async def work(store):
        await store.put_conversation(conversation())
        await store.put_response(response())
        with pytest.raises(InputError, match="msg_x"):
            await store.list_items("", "conv_1", after="msg_x", limit=1, order="asc")
        with pytest.raises(InputError, match="resp_x"):
            await store.list_responses("", after="resp_x", limit=1, order="asc")

    in_store(work)


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: repr(text[:12]))
def test_strange_texts_are_stored_and_searched(in_store, response, conversation, item, text) -> None:
    record = response(text=text, body={"said": text, text[:100]: [text]}, input_items=[{"text": text}])

    async def work(store):
        await store.put_response(record)
        await store.put_conversation(conversation(note=text))
        await store.add_items("", "conv_1", [item(text=text)])
        await store.search("", text, limit=9)
        assert await store.get_response("", text) is None
        assert await store.get_response(text, "resp_1") is None
        found = await store.get_response("", "resp_1")
        return found.body, found.input_items, (await store.get_conversation("", "conv_1")).metadata

    assert in_store(work) == (record.body, record.input_items, {"note": text})


def test_a_cancelled_request_writes_whole(in_store, response) -> None:
    async def work(store: Store):
        task = asyncio.ensure_future(store.put_response(response()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.put_response(response("resp_2"))  # behind it in the queue
        return await store.get_response("", "resp_1")

    assert in_store(work) == response()


def test_close_finishes_what_is_queued(in_store, path, response) -> None:
    async def work(store: Store):
        puts = [asyncio.ensure_future(store.put_response(response(f"resp_{i}"))) for i in range(300)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*puts)

    in_store(work)
    stored = in_store(lambda store: store.list_responses("", after=None, limit=1000, order="desc"))
    assert len(stored[0]) == 300
