"""A program that writes responses as fast as it can, and says on stdout which are acknowledged.

    python writing.py FILE FIRST

Every body carries a checksum of its text, so that a reader can tell whether it is whole.
"""

import asyncio
import random
import sys
import zlib
from pathlib import Path

from ossia.server.store import Store, StoredConversation, StoredItem, StoredResponse

WRITERS = 8


def record(number: int, status: str) -> StoredResponse:
    rng = random.Random(f"{number} {status}")
    text = "".join(rng.choices("abcdefgh 날씨서울", k=rng.randrange(10, 20_000)))
    body = {"text": text, "sum": zlib.crc32(text.encode()), "status": status}
    return StoredResponse(
        f"resp_{number}", "", number, status, None, f"conv_{number}", body, [{"n": number}], [], text[:300]
    )


async def write(store: Store, number: int) -> None:
    """A run as the server stores it: in progress first, then complete and with its items."""
    await store.put_conversation(StoredConversation(f"conv_{number}", "", number, {}))
    await store.put_response(record(number, "in_progress"))
    print("started", number, flush=True)
    items = [StoredItem(f"msg_{i}", {"n": i}, [], "said") for i in range(3)]
    await store.put_response(record(number, "completed"), items)
    print("completed", number, flush=True)


async def main(path: Path, first: int) -> None:
    store = Store.open(path)
    print("open", first, flush=True)

    async def writer(number: int) -> None:
        while True:
            await write(store, number)
            number += WRITERS

    await asyncio.gather(*(writer(first + i) for i in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
