"""The servers of one model: which of them gets the next request, and what their refusals mean.

It knows HTTP and vLLM's status codes, nothing of what is asked.
"""

import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import orjson

from ossia.backends.vllm.refusals import error_message, refusal
from ossia.errors import BackendError, InputError, OssiaError, OverloadedError

CONNECT_S = 10.0
SILENCE_S = 600.0  # between two chunks: a long prompt may wait and be read for minutes
_AVOIDED_S = 15.0  # how long a server that could not be reached is asked last


class _UnreachableError(BackendError):
    """Nothing was sent: another server may be asked."""


class Server:
    """One URL: how many requests it answers for us, and until when it is to be avoided."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.busy = 0
        self.avoided_until = 0.0


class Servers:
    """Any number of servers of the same model; requests go to the least busy one that answers.

    A connection belongs to one request: closing it is what tells vLLM to stop. Proxies of the environment
    are not used. Raises InputError for something that is no URL.
    """

    def __init__(self, urls: Sequence[str], api_key: str | None, silence_s: float = SILENCE_S) -> None:
        self._servers = [Server(_checked(url)) for url in urls]
        if not self._servers:
            raise InputError("no URL of a vLLM server is given", remedy="Give one, as http://gpu:8000.")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        secure = any(server.url.startswith("https:") for server in self._servers)
        self._tls = ssl.create_default_context() if secure else False  # making one takes 70 ms
        self._timeout = httpx2.Timeout(silence_s, connect=CONNECT_S)

    async def get(self, path: str) -> dict[str, Any]:
        """A JSON object from the first server that answers."""
        async with self._answer("GET", path, None) as response:
            return _object(await response.aread())

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The same of a request with a body."""
        async with self._answer("POST", path, orjson.dumps(body)) as response:
            return _object(await response.aread())

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[httpx2.Response, None]:
        """A response that was accepted, its body still to be read.

        Raises ContextLengthError, InputError, OverloadedError (429 and 503, with when to ask again) or
        BackendError.
        """
        async with self._answer("POST", path, orjson.dumps(body)) as response:
            yield response

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, content: bytes | None
    ) -> AsyncGenerator[httpx2.Response, None]:
        """Ask one server after the other until one takes the request; else the last one's failure is told."""
        failure: OssiaError | None = None
        tried: list[Server] = []
        while (server := self._best(tried)) is not None:
            tried.append(server)
            try:
                async with self._sent(server, method, path, content) as response:
                    yield response
                    return
            except (_UnreachableError, OverloadedError) as error:
                failure = error
        assert failure is not None, "there is at least one server"
        raise failure

    @asynccontextmanager
    async def _sent(
        self, server: Server, method: str, path: str, content: bytes | None
    ) -> AsyncGenerator[httpx2.Response, None]:
        """One server's response, if it is a good one. Leaving closes the connection."""
        server.busy += 1
        client = httpx2.AsyncClient(
            verify=self._tls, trust_env=False, timeout=self._timeout, headers=self._headers
        )
        try:
            async with (
                client,
                client.stream(
                    method, server.url + path, content=content, headers={"Content-Type": "application/json"}
                ) as response,
            ):
                server.avoided_until = 0.0
                if response.status_code != 200:
                    said = error_message(_object(await response.aread()))
                    raise refusal(response.status_code, said, response.headers.get("retry-after"))
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            server.avoided_until = time.monotonic() + _AVOIDED_S
            raise _UnreachableError(
                f"the vLLM server at {server.url} cannot be reached: {_said(error)}",
                value=server.url,
                remedy="Start it, or correct its URL.",
            ) from error
        except httpx2.TransportError as error:
            raise BackendError(
                f"the connection to the vLLM server at {server.url} broke: {_said(error)}",
                value=server.url,
                remedy="Ask again; the server's log says more.",
            ) from error
        finally:
            server.busy -= 1

    def _best(self, tried: list[Server]) -> Server | None:
        left = [server for server in self._servers if server not in tried]
        now = time.monotonic()
        return min(left, key=lambda server: (server.avoided_until > now, server.busy), default=None)


def _checked(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        parsed = httpx2.URL("")
    if parsed.scheme in ("http", "https") and parsed.host:
        return url
    raise InputError(
        f"{url!r} is no URL of a server",
        value=url,
        limit="http:// or https:// and a host",
        remedy="Give one, as http://gpu:8000.",
    )


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _object(content: bytes) -> dict[str, Any]:
    try:
        value: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = content.decode(errors="replace")[:500]
    return cast(dict[str, Any], value) if isinstance(value, dict) else {"message": str(value)}
