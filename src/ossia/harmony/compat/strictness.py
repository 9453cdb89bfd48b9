"""Where openai-harmony 0.0.8 raises while it parses, told token by token; it reads nothing itself.

That parser waits for ``<|start|>``, takes every token up to ``<|message|>`` for the header, whatever it
is, and then every token up to one that stops for the body. It refuses headers of too many words.
"""

import re
from typing import Final

from ossia.harmony.compat.content import Role
from ossia.harmony.compat.errors import HarmonyError
from ossia.tokenizer import Tokenizer

_CHANNEL, _CONSTRAIN = "<|channel|>", "<|constrain|>"
_ROLES: Final = frozenset(role.value for role in Role)
_WORD = re.compile(r"[^ \t\n\r\f]+")
_VALUE = re.compile(r"[^\s<]*")


class Referee:
    """Raises HarmonyError for the token at which openai-harmony would; `role` as for the parser."""

    def __init__(self, tok: Tokenizer, role: Role | None) -> None:
        self._tok = tok
        marks = tok.markers
        self._start, self._message = marks.start, marks.message
        self._stops = frozenset((marks.end, marks.return_, marks.call))
        self._sampled = role is not None
        self._role = role.value if role else None  # whom the prompt named, for the first header
        self._header: list[int] | None = [] if role else None
        self.in_body = False

    def check(self, token: int) -> None:
        """Take the next id; having raised, wait for ``<|start|>``."""
        if self.in_body:
            self.in_body = token not in self._stops
        elif self._header is not None:
            if token == self._message:
                self._check_header(self._header)
            else:
                self._header.append(token)
        elif token == self._start:
            self._header = []
        else:
            raise _refusal(f"Unexpected token {token} while expecting start token {self._start}", token)

    def check_end(self) -> None:
        """Take the end of the stream."""
        self.in_body = False
        if self._header is not None:
            self._header = None
            raise _refusal("Unexpected EOS while waiting for message header to complete", None)

    def _check_header(self, ids: list[int]) -> None:
        role, self._role, self._header = self._role, None, None
        try:
            text = self._tok.decode_bytes(ids).decode()
        except UnicodeDecodeError as cause:
            raise _refusal("could not decode header", ids) from cause
        if problem := self._problem(text, role):
            raise _refusal(problem, text)
        self.in_body = True

    def _problem(self, text: str, role: str | None) -> str | None:
        before, marker, after = text.partition(_CHANNEL)
        channel = _VALUE.match(after)
        if marker and channel and not channel.group():
            return "channel marker present but no channel value found in header"
        rest = before + after[channel.end() if channel else 0 :]
        words = _WORD.findall(rest.replace(_CONSTRAIN, f" {_CONSTRAIN}"))
        if role is None and not words:
            return "message header did not contain a role"
        if role is None and self._unknown(words):
            return f"Unknown role: {words[0]}"
        if words and (role is None or words[0] == role):
            words = words[1:]
        spare = words[: -1 if words and words[-1].startswith("to=") else -2]
        return f'unexpected tokens remaining in message header: "{" ".join(spare)}"' if spare else None

    def _unknown(self, words: list[str]) -> bool:
        """A lone author that is no role. Named authors are, and so are tools outside a sampled step."""
        lone = len(words) == 1 and not words[0].startswith("to=")
        return lone and self._sampled and words[0].partition(":")[0] not in _ROLES


def _refusal(message: str, value: object) -> HarmonyError:
    return HarmonyError(
        message,
        value=value,
        limit="Harmony that openai-harmony 0.0.8 reads",
        remedy="Pass strict=False to recover the message instead.",
    )
