"""Make the golden files of the words tower from openai-harmony 0.0.8: `make golden`.

Also run by the tests that compare live (`tests/oracle`), for the reference and the translation to it.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import openai_harmony as reference

from ossia.harmony import Conversation, DeveloperContent, Message, SystemContent, ToolNamespace
from ossia.tokenizer.vocabulary import original, read_pieces

FOLDER = Path(__file__).parent


def load_reference() -> reference.HarmonyEncoding:
    """openai-harmony on the packaged vocabulary, offline."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "o200k_base.tiktoken").write_bytes(original(read_pieces()))
        before = os.environ.get("TIKTOKEN_ENCODINGS_BASE")
        os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
        try:
            return reference.load_harmony_encoding("HarmonyGptOss")
        finally:
            if before is None:
                del os.environ["TIKTOKEN_ENCODINGS_BASE"]
            else:
                os.environ["TIKTOKEN_ENCODINGS_BASE"] = before


def _namespaces(tools: tuple[ToolNamespace, ...]) -> dict[str, reference.ToolNamespaceConfig] | None:
    return {
        ns.name: reference.ToolNamespaceConfig(
            name=ns.name,
            description=ns.description or None,
            tools=[reference.ToolDescription.new(t.name, t.description, t.parameters) for t in ns.tools],
        )
        for ns in tools
    } or None


def _content(message: Message) -> reference.Content:
    match message.content:
        case SystemContent() as system:
            return reference.SystemContent(
                model_identity=system.identity,
                knowledge_cutoff=system.knowledge_cutoff,
                conversation_start_date=system.current_date and system.current_date.isoformat(),
                reasoning_effort=system.effort and reference.ReasoningEffort(system.effort.title()),
                channel_config=reference.ChannelConfig.require_channels(list(system.channels)),
                tools=_namespaces(system.tools),
            )
        case DeveloperContent() as developer:
            return reference.DeveloperContent(
                instructions=developer.instructions, tools=_namespaces(developer.tools)
            )
        case str(text):
            return reference.TextContent(text=text)


def to_reference(conversation: Conversation) -> reference.Conversation:
    """The same conversation in openai-harmony's types."""
    return reference.Conversation.from_messages(
        [
            reference.Message(
                author=reference.Author(role=reference.Role(m.role), name=m.name),
                content=[_content(m)],
                channel=m.channel,
                recipient=m.recipient,
                content_type=m.content_type,
            )
            for m in conversation.messages
        ]
    )


def render(encoding: reference.HarmonyEncoding, conversation: Conversation, drop: bool = True) -> list[int]:
    config = reference.RenderConversationConfig(auto_drop_analysis=drop)
    return encoding.render_conversation(to_reference(conversation), config)


def parse(encoding: reference.HarmonyEncoding, ids: list[int]) -> list[dict[str, Any]] | None:
    """The reference's messages of `ids` as plain fields; None where it cannot read them."""
    try:
        messages = encoding.parse_messages_from_completion_tokens(ids)
    except reference.HarmonyError:
        return None
    return [
        {
            "role": m.author.role.value,
            "name": m.author.name,
            "channel": m.channel,
            "recipient": m.recipient,
            "content_type": m.content_type,
            "text": "".join(part.text for part in m.content),
        }
        for m in messages
    ]


def tiny_tokenizer() -> dict[str, Any]:
    """A tokenizer.json in the form of the pocket model's: byte-level BPE, markers among its added tokens."""
    bytes_first = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = [chr(b) for b in bytes_first] + [chr(0x100 + i) for i in range(256 - len(bytes_first))]
    markers = ["endoftext", "start", "end", "message", "channel", "constrain", "call", "return", "other"]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("a", "n"), ("an", "d"), ("Ġ", "and"), ("ì", "ķ")]
    tokens = [f"<|{name}|>" for name in markers] + alphabet + ["".join(pair) for pair in merges]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": tokens[i]} | added for i in range(len(markers))],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [list(pair) for pair in merges],
        },
    }


def goldens(texts: dict[str, str], conversations: dict[str, Conversation]) -> dict[str, Any]:
    """Every golden file's name and content."""
    encoding = load_reference()
    rendered = {name: render(encoding, conversation) for name, conversation in conversations.items()}
    return {
        "tokenizer_ids.json": {
            name: encoding.encode(text, disallowed_special=()) for name, text in texts.items()
        },
        "tokenizer_tiny.json": tiny_tokenizer(),
        "harmony_rendered.json": rendered,
        "harmony_parsed.json": {name: parse(encoding, ids) for name, ids in rendered.items()},
    }


def _main() -> None:
    from words_cases import CONVERSATIONS, TEXTS  # beside this script

    for name, content in goldens(TEXTS, CONVERSATIONS).items():
        lines = [
            f"{json.dumps(k, ensure_ascii=False)}:{json.dumps(v, ensure_ascii=False)}"
            for k, v in content.items()
        ]
        (FOLDER / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    _main()
