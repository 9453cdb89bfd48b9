"""An ASGI layer that notes what passes between a client and the server, and changes nothing."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """One request to the Responses API: its body, the status, and the events of the answer."""

    body: dict[str, Any]
    status: int = 0
    answer: bytes = b""

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = [line[6:] for line in self.answer.split(b"\n") if line.startswith(b"data: {")]
        return [json.loads(line) for line in lines]

    @property
    def response(self) -> dict[str, Any]:
        """The response in the stream's last event."""
        return self.events[-1]["response"]


@dataclass
class Tap:
    """Wraps an application; `paths` are all that were asked for, `exchanges` those of the Responses API."""

    app: Any = None
    paths: list[str] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)

    def __call__(self, app: Any) -> Any:
        self.app = app

        async def tapped(scope: Any, receive: Any, send: Any) -> None:
            await self._serve(scope, receive, send)

        return tapped

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.paths.append(f"{scope['method']} {scope['path']}")
        if scope["method"] != "POST" or not scope["path"].endswith("/responses"):
            return await self.app(scope, receive, send)
        body = b""
        exchange = Exchange({})
        self.exchanges.append(exchange)

        async def heard() -> Any:
            nonlocal body
            message = await receive()
            if message["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body"):
                    exchange.body = json.loads(body)
            return message

        async def said(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            else:
                exchange.answer += message.get("body", b"")
            await send(message)

        return await self.app(scope, heard, said)
