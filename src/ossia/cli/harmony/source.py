"""What the user names is read into a `Source`: ids as they came, or a conversation to be rendered.

Harmony text, token ids, chat messages and Responses objects are told apart by `harmony.formats`; saved
conversations, which belong to a floor above it, here. A model's weights are never opened.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast, get_args

import click

from ossia.agent.card import ModelCard, opening
from ossia.agent.saved import FORMAT, SavedChat, chat_from_dict
from ossia.cli.app import App, model_option_about, option
from ossia.cli.harmony.words import W
from ossia.cli.messages import M
from ossia.errors import InputError
from ossia.harmony.formats.document import read_document
from ossia.harmony.messages import Conversation
from ossia.harmony.parse import parse
from ossia.harmony.render import assistant_opening, render_conversation
from ossia.harmony.schema import SchemaMode
from ossia.hub.card import card_of
from ossia.hub.gguf.tokenizer import gguf_tokenizer
from ossia.hub.sources import locate, require_loadable
from ossia.model.config import load_config
from ossia.model.gguf.config import gguf_config
from ossia.model.gguf.container import open_gguf
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony
from ossia.tools.calculator import calculator

Kind = Literal["text", "ids", "chat", "responses", "saved"]
KINDS: Mapping[Kind, W] = {
    "text": W.KIND_TEXT,
    "ids": W.KIND_IDS,
    "chat": W.KIND_CHAT,
    "responses": W.KIND_RESPONSES,
    "saved": W.KIND_SAVED,
}
STDIN = "-"
_ROW_SUFFIXES = (".jsonl", ".ndjson")
_TOOLS = {"calculator": calculator}  # what the chat can offer a model, by name


@dataclass(frozen=True, slots=True)
class Rules:
    """How a conversation is rendered; the defaults are how Ossia renders one."""

    canonical: bool = False
    schema: SchemaMode = "full"
    drop_analysis: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One input. Exactly one of `ids` and `conversation` is there; `text` is a file of Harmony text.

    `lost_tools`: those of a saved conversation that cannot be declared, as only their names were saved.
    `saved_with`: the model a saved conversation was held with.
    """

    name: str
    kind: Kind
    ids: tuple[int, ...] | None = None
    conversation: Conversation | None = None
    text: str | None = None
    lost_tools: tuple[str, ...] = ()
    saved_with: str = ""

    def messages(self, tok: Tokenizer) -> Conversation:
        """The conversation, read from the ids where the source is ids."""
        if self.conversation is not None:
            return self.conversation
        assert self.ids is not None, "a source is ids or a conversation"
        return Conversation(tuple(parse(self.ids, tok, role_before(self.ids, tok))[0]))

    def rendered(self, tok: Tokenizer, rules: Rules | None = None) -> tuple[int, ...]:
        """The ids: as they came, or as `rules` (Ossia's own where None) render the conversation."""
        if self.ids is not None and rules is None:
            return self.ids
        rules = rules or Rules()
        ids = render_conversation(
            self.messages(tok),
            tok,
            canonical=rules.canonical,
            schema=rules.schema,
            drop_analysis=rules.drop_analysis,
        )
        prompt = assistant_opening(tok)
        if self.ids is not None and role_before(self.ids, tok) and ids[: len(prompt)] == prompt:
            del ids[: len(prompt)]  # it stood in the prompt
        return tuple(ids)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer, and the model that a saved conversation would be opened with; `asked_for` by the user."""

    tok: Tokenizer
    card: ModelCard
    asked_for: bool = False
    clock: Callable[[], date] = field(default=date.today, repr=False)


def open_vocabulary(app: App) -> Vocabulary:
    """Return the vocabulary of ``--model``, or o200k_harmony; raises ModelError as `ossia.load` does."""
    name: str | None = app.extra.get("model")
    if name is None:
        return Vocabulary(load_o200k_harmony(), ModelCard("gpt-oss"))
    found = locate(name, app.settings)
    require_loadable(found)
    if found.format == "gguf":
        gguf = open_gguf(found.path)
        tok, config = gguf_tokenizer(gguf, found.name), gguf_config(gguf)
    else:
        brings_its_own = (found.path / "tokenizer.json").exists()
        tok = load_checkpoint_tokenizer(found.path) if brings_its_own else load_o200k_harmony()
        config = load_config(found.path)
    return Vocabulary(tok, card_of(found, config, config.max_position_embeddings), asked_for=True)


def role_before(ids: tuple[int, ...], tok: Tokenizer) -> Literal["assistant"] | None:
    """Who writes what begins without ``<|start|>``: an answer that continues a prompt, the assistant."""
    return None if not ids or ids[0] == tok.markers.start else "assistant"


def rendering_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a conversation is rendered; `rules_of` reads them."""
    for decorate in reversed(
        (
            option("--canonical", is_flag=True, help=W.OPT_CANONICAL),
            option("--schema", type=click.Choice(get_args(SchemaMode)), help=W.OPT_SCHEMA),
            option("--no-drop-analysis", "keep_analysis", is_flag=True, help=W.OPT_KEEP),
            model_option_about(W.OPT_MODEL),
        )
    ):
        command = decorate(command)
    return command


def rules_of(options: Mapping[str, Any]) -> Rules | None:
    """The rendering that the options ask for; None where they ask for none."""
    rules = Rules(
        canonical=bool(options.get("canonical")),
        schema=cast(SchemaMode, options.get("schema") or "full"),
        drop_analysis=not options.get("keep_analysis"),
    )
    return None if rules == Rules() and options.get("schema") is None else rules


def open_source(name: str, vocabulary: Vocabulary, app: App, *, row: int | None = None) -> Source:
    """Read the file `name`, or standard input; of JSON Lines the line number `row`.

    Raises InputError where it cannot be used.
    """
    data = read_bytes(name, app)
    before = 0
    if row is not None or is_rows(name, data):
        data, before = _row(name, data, row, app)
    text = decode(data, name, app, before=before)
    try:
        return read_source(name, text, vocabulary, app)
    except InputError as error:
        error.remedy = error.remedy or app.say(W.CORRECT, name=name)
        raise


def read_bytes(name: str, app: App) -> bytes:
    """Return what a file or standard input (``-``) holds; raises InputError, naming the file."""
    if name == STDIN:
        if sys.stdin.isatty():
            click.echo(app.say(W.READING_STDIN), err=True)
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            app.say(M.CANNOT_OPEN, path=name, why=why), value=name, remedy=app.say(W.GIVE_FILE)
        ) from error


def is_rows(name: str, data: bytes) -> bool:
    """Whether a file is JSON Lines: by its name, or as its first line, of several, is a JSON object."""
    if name.lower().endswith(_ROW_SUFFIXES):
        return True
    first, _, rest = data.lstrip().partition(b"\n")
    if not first.startswith(b"{") or not rest.strip():
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _row(name: str, data: bytes, row: int | None, app: App) -> tuple[bytes, int]:
    """One line of JSON Lines, and how many bytes stand before it."""
    lines = data.splitlines(keepends=True)
    if row is None or row > len(lines):
        said = app.say(W.MANY_ROWS, name=name, count=len(lines))
        raise InputError(said, value=row, limit=len(lines), remedy=app.say(W.GIVE_ROW))
    return lines[row - 1], sum(map(len, lines[: row - 1]))


def decode(data: bytes, name: str, app: App, *, before: int = 0) -> str:
    """Return `data`, which began `before` bytes into `name`, as text; raises InputError with the offset."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        offset = before + error.start
        raise InputError(
            app.say(W.BAD_UTF8, name=name, byte=data[error.start], offset=offset),
            value=f"0x{data[error.start]:02x}",
            limit="UTF-8",
            remedy=app.say(M.MAKE_UTF8),
        ) from error


def read_source(name: str, text: str, vocabulary: Vocabulary, app: App) -> Source:
    """Tell what `text` is and read it; raises InputError naming what was looked for."""
    if not text.strip():
        raise InputError(app.say(W.EMPTY, name=name), value=name, remedy=app.say(W.GIVE_KINDS))
    value = _json_object(text)
    if value is not None and value.get("format") == FORMAT:
        return _resumed(name, chat_from_dict(value, vocabulary.tok), vocabulary)
    document = read_document(text, vocabulary.tok)
    kept = text if document.kind == "text" and value is None else None
    return Source(name, document.kind, document.ids, document.conversation, kept)


def _json_object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None  # whoever reads it next says what is wrong
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _resumed(name: str, saved: SavedChat, vocabulary: Vocabulary) -> Source:
    """The conversation as a chat that loads it would render it, today."""
    tools = [make() for tool, make in _TOOLS.items() if tool in saved.tools]
    begun = opening(
        vocabulary.card, effort=saved.effort, today=vocabulary.clock(), system=saved.system, tools=tools
    )
    lost = tuple(tool for tool in saved.tools if tool not in _TOOLS)
    conversation = Conversation((*begun, *saved.messages))
    return Source(name, "saved", conversation=conversation, lost_tools=lost, saved_with=saved.model)
