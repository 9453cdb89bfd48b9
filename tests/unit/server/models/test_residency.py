"""One model in memory: leases, exchange in order, keep-alive, failures that leave a working server."""

import asyncio
import threading
from functools import cache
from pathlib import Path

import pytest
from puppet import Puppet, final, model_of

from ossia.errors import MemoryLimitError, StoppingError
from ossia.hub.sources import FoundModel
from ossia.server.models.entry import ModelEntry
from ossia.server.models.residency import HubModels
from ossia.tokenizer import load_o200k_harmony

tokenizer = cache(load_o200k_harmony)


class Shelf:
    """A catalogue of made-up models, and the loader that notes what it was asked for."""

    default = "a"

    def __init__(self, *failing: str) -> None:
        self.loaded: list[str] = []
        self.puppets: list[Puppet] = []
        self.failing = list(failing)

    def find(self, name: str) -> FoundModel:
        return FoundModel(name, "ossia", Path("/nowhere"), "safetensors", 10)

    def entry(self, name: str, found: FoundModel) -> ModelEntry:
        return ModelEntry(name, size_bytes=found.size_bytes)

    def entries(self) -> list[ModelEntry]:
        return [self.entry(name, self.find(name)) for name in "ab"]

    def resolve(self, name: str | None) -> str:
        return name or self.default

    def load(self, found: FoundModel, progress):
        progress("loading", 1, 2)
        self.loaded.append(found.name)
        if found.name in self.failing:
            raise MemoryLimitError("not enough memory", remedy="Close programs.")
        self.puppets.append(Puppet(lambda _: final("x"), tokenizer()))
        return model_of(self.puppets[-1], "as loaded")


def models(shelf: Shelf, **options) -> HubModels:
    return HubModels(shelf, shelf.load, **options)


def test_a_model_is_loaded_once_and_bears_the_name_it_was_asked_by():
    async def scenario():
        shelf = Shelf()
        hub = models(shelf)
        assert hub.resident() is None
        async with hub.lease("a") as one, hub.lease("a") as other:
            assert one is other
            assert one.card.name == "a"
        assert shelf.loaded == ["a"]
        assert hub.resident().name == "a"
        assert hub.resident().expires_at is None
        assert [entry.context_length for entry in hub.installed()] == [131_072, None]
        await hub.close()
        assert hub.resident() is None

    asyncio.run(scenario())


def test_models_are_exchanged_when_idle_and_in_order_of_arrival():
    async def scenario():
        shelf = Shelf()
        hub = models(shelf)
        order: list[str] = []

        async def use(label: str, name: str):
            async with hub.lease(name):
                order.append(label)
                await asyncio.sleep(0)

        async with hub.lease("a"):
            tasks = [asyncio.create_task(use(f"{i}{n}", n)) for i, n in enumerate("baba")]
            await asyncio.sleep(0.05)
            assert order == []  # the first wants another, and who wants this one came later
            assert shelf.loaded == ["a"]
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert order == ["0b", "1a", "2b", "3a"]
        assert shelf.loaded == ["a", "b", "a", "b", "a"]
        await hub.close()

    asyncio.run(scenario())


def test_a_failed_load_is_told_to_who_wanted_it_and_the_server_goes_on():
    async def scenario():
        shelf = Shelf("b")
        hub = models(shelf)
        async with hub.lease("a"):
            pass
        with pytest.raises(MemoryLimitError):
            async with hub.lease("b"):
                pass
        assert hub.loading() is None
        async with hub.lease("a"):
            assert hub.resident().name == "a"
        await hub.close()

    asyncio.run(scenario())


def test_who_leaves_while_it_loads_holds_nothing():
    async def scenario():
        shelf = Shelf()
        hub = models(shelf)
        waiting = asyncio.create_task(hub.preload())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        async with hub.lease("b"):
            assert hub.resident().name == "b"
        await hub.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("asked", [0.01, None], ids=["as the request says", "as the server says"])
def test_an_idle_model_leaves_the_memory_and_comes_again(asked):
    async def scenario():
        shelf = Shelf()
        hub = models(shelf, keep_alive_s=0.01 if asked is None else 60.0)
        async with hub.lease("a", asked):
            assert hub.resident().expires_at is None
        assert hub.resident().expires_at is not None
        for _ in range(500):
            if hub.resident() is None:
                break
            await asyncio.sleep(0.01)
        assert hub.resident() is None
        async with hub.lease("a"):
            pass
        assert shelf.loaded == ["a", "a"]
        await hub.close()

    asyncio.run(scenario())


def test_unload_waits_for_who_uses_it():
    async def scenario():
        hub = models(Shelf())
        async with hub.lease("a", -1.0):
            hub.unload("a")
            await asyncio.sleep(0.01)
            assert hub.resident() is not None
        while hub.resident() is not None:
            await asyncio.sleep(0.001)
        await hub.close()

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_closing_refuses_who_waits():
    async def scenario():
        hub = models(Shelf())
        async with hub.lease("a"):
            waiting = asyncio.create_task(hub.lease("b").__aenter__())
            await asyncio.sleep(0)
            await hub.close()
            with pytest.raises(StoppingError):
                await waiting
        with pytest.raises(StoppingError):
            await hub.preload()

    asyncio.run(scenario())


def test_draining_refuses_who_waits_and_leaves_who_has_it_alone():
    async def scenario():
        shelf = Shelf()
        hub = models(shelf)
        async with hub.lease("a") as model:
            waiting = asyncio.create_task(hub.lease("b").__aenter__())
            await asyncio.sleep(0)
            hub.drain()
            with pytest.raises(StoppingError):
                await waiting
            assert hub.current() is model
        assert shelf.loaded == ["a"]
        await hub.close()

    asyncio.run(scenario())


def test_a_load_is_given_up_when_the_server_stops():
    loading, go_on = threading.Event(), threading.Event()

    class Slow(Shelf):
        def load(self, found, progress):
            loading.set()
            go_on.wait(10)
            return super().load(found, progress)

    async def scenario():
        shelf = Slow()
        hub = models(shelf)
        waiting = asyncio.create_task(hub.preload())
        await asyncio.to_thread(loading.wait, 10)
        hub.drain()
        with pytest.raises(StoppingError):
            await waiting
        go_on.set()
        await hub.close()
        assert shelf.loaded == []

    asyncio.run(scenario())
