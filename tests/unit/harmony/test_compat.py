"""openai-harmony's names, on Ossia: what a program that changed one import relies on, and what was fixed.

`docs/compat.md` lists every difference; each has its test here or in `test_compat_parser.py`.
"""

import json
import math
from collections.abc import Callable
from datetime import date

import pytest
from pydantic import ValidationError

from ossia.errors import OssiaError
from ossia.harmony import messages as ossia
from ossia.harmony.compat import (
    Author,
    ChannelConfig,
    Content,
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    HarmonyError,
    Message,
    ReasoningEffort,
    RenderConversationConfig,
    RenderOptions,
    Role,
    SystemContent,
    TextContent,
    ToolDescription,
    ToolNamespaceConfig,
    conversation_from_ossia,
    conversation_to_ossia,
    load_harmony_encoding,
    message_from_ossia,
    message_to_ossia,
)
from ossia.harmony.parse import parse
from ossia.tokenizer import load_o200k_harmony

ENC = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
TOK = load_o200k_harmony()
CALL = '<|channel|>commentary to=functions.x <|constrain|>json<|message|>{"a": 1}<|call|>'


def says(role: str, text: str, channel: str | None = None) -> Message:
    message = Message.from_role_and_content(Role(role), text)
    return message.with_channel(channel) if channel else message


def rendered(*messages: Message, **config: bool) -> str:
    conversation = Conversation.from_messages(messages)
    return ENC.decode_utf8(ENC.render_conversation(conversation, RenderConversationConfig(**config)))


def weather() -> DeveloperContent:
    parameters = {"type": "object", "properties": {"at": {"type": "string", "default": None}}}
    return DeveloperContent.new().with_function_tools([ToolDescription.new("weather", "Tells.", parameters)])


EVERYTHING = Conversation.from_messages(
    [
        Message.from_role_and_content(
            Role.SYSTEM,
            SystemContent.new()
            .with_model_identity("You are a parrot.")
            .with_reasoning_effort(ReasoningEffort.HIGH)
            .with_conversation_start_date("2025-06-28")
            .with_knowledge_cutoff("2023-01")
            .with_required_channels(["analysis", "final"])
            .with_browser_tool()
            .with_python_tool(),
        ),
        Message.from_role_and_content(Role.DEVELOPER, weather().with_instructions("Be brief.")),
        Message.from_author_and_content(Author.new(Role.USER, "bob"), "Hi"),
        says("assistant", '{"at": "Seoul"}', "commentary")
        .with_recipient("functions.weather")
        .with_content_type("<|constrain|>json"),
        Message.from_author_and_content(Author.new(Role.TOOL, "functions.weather"), "sunny").with_channel(
            "commentary"
        ),
        Message.from_role_and_contents(Role.ASSISTANT, [TextContent(text="It is ")])
        .adding_content("sunny.")
        .with_channel("final"),
    ]
)


def test_a_conversation_renders_as_harmony() -> None:
    text = ENC.decode_utf8(ENC.render_conversation_for_completion(EVERYTHING, Role.ASSISTANT))
    assert text.startswith("<|start|>system<|message|>You are a parrot.\nKnowledge cutoff: 2023-01\n")
    assert "Current date: 2025-06-28\n\nReasoning: high\n\n# Tools\n\n## browser\n" in text
    assert "'functions'.<|end|><|start|>developer<|message|># Instructions\n\nBe brief.\n\n" in text
    assert "<|start|>user:bob<|message|>Hi<|end|><|start|>assistant to=functions.weather<|channel|>" in text
    assert "commentary <|constrain|>json<|message|>" in text
    assert text.endswith("<|message|>It is sunny.<|end|><|start|>assistant")


def test_contents_are_encoded_one_by_one() -> None:
    ids = ENC.render(Message.from_role_and_content(Role.USER, "in").adding_content("side"))
    body = ids[ids.index(TOK.markers.message) + 1 : -1]
    assert body == TOK.encode("in") + TOK.encode("side") != TOK.encode("inside")


def test_training_ends_a_final_in_return() -> None:
    answered = Conversation.from_messages([says("user", "q"), says("assistant", "a", "final")])
    asked = Conversation.from_messages([says("user", "q")])
    assert ENC.render_conversation_for_training(answered)[-1] == TOK.markers.return_
    assert ENC.render_conversation_for_training(asked) == ENC.render_conversation(asked)
    assert ENC.render_conversation_for_training(Conversation()) == []


def test_the_system_message_alone_knows_of_functions_by_option() -> None:
    message = Message.from_role_and_content(Role.SYSTEM, SystemContent.new())
    told = ENC.render(message, RenderOptions(conversation_has_function_tools=True))
    assert "must go to the commentary channel" in ENC.decode(told)
    assert "must go to the commentary channel" not in ENC.decode(ENC.render(message))


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("day", ["2025-06-28", "June 2025", ""])
@pytest.mark.parametrize("identity", ["", None, "X"])
def test_free_form_system_content_differs_only_where_it_says_something_else(
    identity: str | None, day: str, required: bool
) -> None:
    """What Ossia's own type cannot say is written the same way."""
    content = SystemContent(
        model_identity=identity,
        knowledge_cutoff=None,
        conversation_start_date=day,
        channel_config=ChannelConfig(valid_channels=["final"], channel_required=required),
        tools={"python": ToolNamespaceConfig(name="python", description="Runs.", tools=[])},
    )
    top = ([] if identity is None else [identity]) + [f"Current date: {day}"]
    line = "# Valid channels: final." + " Channel must be included for every message." * required
    note = "Calls to these tools must go to the commentary channel: 'functions'."
    body = "\n".join(top) + f"\n\nReasoning: medium\n\n# Tools\n\n## python\n\nRuns.\n\n{line}\n{note}"
    message = Message.from_role_and_content(Role.SYSTEM, content)
    developer = Message.from_role_and_content(Role.DEVELOPER, weather())
    assert rendered(message, developer).startswith(f"<|start|>system<|message|>{body}<|end|>")


def test_json_round_trip_keeps_everything() -> None:
    payload = EVERYTHING.to_json()
    assert Conversation.from_json(payload) == EVERYTHING
    assert [Message.from_dict(m.to_dict()) for m in EVERYTHING] == EVERYTHING.messages
    assert json.loads(EVERYTHING.messages[2].to_json()) == {
        "role": "user",
        "name": "bob",
        "content": [{"type": "text", "text": "Hi"}],
    }
    assert Message.from_dict({"role": "user", "content": "Hi"}) == says("user", "Hi")
    with pytest.raises(ValueError, match="Unknown content variant"):
        Message.from_dict({"role": "user", "content": [{"type": "image"}]})
    with pytest.raises(ValueError, match="Unknown content variant"):
        Message.from_dict({"role": "user", "content": [{"text": "no type"}]})


def test_what_is_none_stays_none_in_json() -> None:
    content = SystemContent(model_identity=None, reasoning_effort=None, channel_config=None)
    assert SystemContent.from_dict(content.to_dict()) == content
    assert "conversation_start_date" not in content.to_dict()
    assert DeveloperContent.from_dict(DeveloperContent.new().to_dict()) == DeveloperContent()


def test_pydantic_keeps_the_contents() -> None:
    dumped = EVERYTHING.model_dump()
    assert dumped["messages"][2]["content"] == [{"text": "Hi"}]
    assert Conversation.model_validate(dumped) == EVERYTHING
    assert Conversation.model_validate_json(EVERYTHING.model_dump_json()) == EVERYTHING


def test_models_behave_as_pydantic_users_expect() -> None:
    message = says("user", "Hi")
    assert repr(message) == (
        "Message(author=Author(role=<Role.USER: 'user'>, name=None), content=[TextContent(text='Hi')], "
        "channel=None, recipient=None, content_type=None)"
    )
    assert message == says("user", "Hi") != says("user", "Ho")
    assert message != "Hi"
    assert not hasattr(TextContent.model_validate({"text": "a", "extra": 1}), "extra")
    assert message.model_copy(update={"channel": "final"}) == says("user", "Hi", "final")
    with pytest.raises(ValidationError, match="valid dictionary or instance of Message"):
        Conversation.from_messages([SystemContent.new()])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="Unknown role: 'nobody'"):
        Role("nobody")
    with pytest.raises(TypeError, match="abstract"):
        Content()  # pyright: ignore[reportAbstractUsage]


def test_builders_change_the_object_and_return_it() -> None:
    content = SystemContent.new()
    assert content.with_browser_tool().with_python_tool() is content
    assert list(content.tools or {}) == ["browser", "python"]
    message = says("user", "Hi")
    assert message.adding_content("more").with_channel("x").with_recipient("y") is message
    assert content.with_channel_config(ChannelConfig.require_channels(["final"])).channel_config == (
        ChannelConfig(valid_channels=["final"], channel_required=True)
    )


def test_builtin_namespaces_are_new_each_time() -> None:
    ToolNamespaceConfig.browser().tools[0].parameters["type"] = "changed"  # pyright: ignore[reportOptionalSubscript]
    assert ToolNamespaceConfig.browser().tools[0].parameters["type"] == "object"  # pyright: ignore[reportOptionalSubscript]
    assert [tool.name for tool in ToolNamespaceConfig.browser().tools] == ["search", "open", "find"]
    assert ToolNamespaceConfig.python().tools == []


REFUSED: dict[str, Callable[[], object]] = {
    "tool without a name": lambda: ENC.render(says("tool", "x")),
    "system content elsewhere": lambda: ENC.render(
        Message.from_role_and_content(Role.USER, SystemContent.new().with_conversation_start_date("June"))
    ),
    "developer content elsewhere": lambda: ENC.render(
        Message.from_role_and_content(Role.SYSTEM, DeveloperContent.new())
    ),
    "a recipient that poses as more": lambda: ENC.render(says("user", "x").with_recipient("a to=b")),
    "a tool that poses as the user": lambda: ENC.render(
        Message.from_author_and_content(Author.new(Role.TOOL, "user"), "x")
    ),
    "parameters that are no JSON": lambda: rendered(
        Message.from_role_and_content(
            Role.DEVELOPER,
            DeveloperContent.new().with_function_tools([ToolDescription.new("f", "", {"default": math.nan})]),
        )
    ),
    "two namespaces of one name": lambda: rendered(
        Message.from_role_and_content(
            Role.DEVELOPER,
            DeveloperContent(tools={key: ToolNamespaceConfig(name="n", tools=[]) for key in "ab"}),
        )
    ),
    "an unknown id": lambda: ENC.decode([5, 99999999]),
    "a negative id": lambda: ENC.decode_utf8([-1]),
    "half a character": lambda: ENC.decode_utf8([9552]),
    "a control token's name": lambda: ENC.encode("<|start|>"),
    "a word the caller refuses": lambda: ENC.encode("abc", disallowed_special={"b"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_harmony_errors(case: str) -> None:
    with pytest.raises(HarmonyError) as caught:
        REFUSED[case]()
    assert isinstance(caught.value, RuntimeError)  # what openai-harmony's users catch
    assert isinstance(caught.value, OssiaError)
    assert caught.value.remedy


def test_unknown_encodings_are_value_errors() -> None:
    with pytest.raises(ValueError, match="Invalid HarmonyEncodingName: cl100k"):
        load_harmony_encoding("cl100k")
    assert load_harmony_encoding("HarmonyGptOss").name == str(HarmonyEncodingName.HARMONY_GPT_OSS)


def test_encode_with_control_tokens() -> None:
    text = "a<|start|>b<|end|>"
    a, b = TOK.encode("a"), TOK.encode("b")
    start, end = TOK.markers.start, TOK.markers.end
    assert ENC.encode(text, allowed_special="all") == [*a, start, *b, end]
    assert ENC.encode(text, disallowed_special=()) == TOK.encode(text)
    only = ENC.encode(text, allowed_special={"<|start|>", "unknown"}, disallowed_special=())
    assert only == [*a, start, *TOK.encode("b<|end|>")]
    with pytest.raises(HarmonyError, match="disallowed special token '<\\|end\\|>'"):
        ENC.encode(text, allowed_special={"<|start|>"})
    assert ENC.encode("half \ud83d", disallowed_special=()) == TOK.encode("half \ufffd")
    assert len(ENC.encode(" " * 1_000_001 + "x")) > 1


def test_ids_and_their_names() -> None:
    assert ENC.decode([200018, 201088]) == "<|reserved_200018|><|reserved_201088|>"
    assert ENC.encode("<|reserved_200018|>", allowed_special="all") == [200018]
    assert "<|reserved_201088|>" not in ENC.special_tokens_set  # no id of the model
    assert "<|endofprompt|>" not in ENC.special_tokens_set
    assert len(ENC.special_tokens_set) == 1090
    assert ENC.is_special_token(200006)
    assert not ENC.is_special_token(24912)
    assert sorted(ENC.stop_tokens()) == [200002, 200007, 200012]
    assert sorted(ENC.stop_tokens_for_assistant_actions()) == [200002, 200012]
    assert ENC.decode([9552]) == " \ufffd"
    assert ENC.decode([]) == ENC.decode_utf8([]) == ""


THIRD_TURN = [
    says("user", "q1"),
    says("assistant", "one", "analysis"),
    says("assistant", "a1", "final"),
    says("user", "q2"),
    says("assistant", "two", "analysis"),
    says("assistant", "a2", "final"),
    says("user", "q3"),
]


def test_the_drop_rule_holds_from_the_third_turn_on() -> None:
    """There "two" stays in every later prompt; here it goes when its turn is over."""
    assert "one" not in rendered(*THIRD_TURN)
    assert "two" not in rendered(*THIRD_TURN)
    assert "two" in rendered(*THIRD_TURN, auto_drop_analysis=False)
    assert "three" in rendered(*THIRD_TURN, says("assistant", "three", "analysis"))


def test_the_drop_rule_holds_inside_a_tool_loop() -> None:
    """There the first turn's analysis comes back as soon as the second turn calls a tool."""
    call = says("assistant", "{}", "commentary").with_recipient("functions.x")
    answer = Message.from_author_and_content(Author.new(Role.TOOL, "functions.x"), "ok")
    text = rendered(*THIRD_TURN[:5], call, answer)
    assert "one" not in text
    assert "two" in text


def test_a_message_to_all_is_no_call() -> None:
    message = says("assistant", "Hi", "final").with_recipient("all")
    assert rendered(message) == "<|start|>assistant<|channel|>final<|message|>Hi<|end|>"


def test_half_a_surrogate_pair_is_text() -> None:
    assert rendered(says("user", "\ud83d")) == "<|start|>user<|message|>\ufffd<|end|>"


def test_a_namespace_is_known_by_its_name() -> None:
    tools = {"z": ToolNamespaceConfig(name="a", tools=[]), "y": ToolNamespaceConfig(name="b", tools=[])}
    text = rendered(Message.from_role_and_content(Role.DEVELOPER, DeveloperContent(tools=tools)))
    assert text.index("## a") < text.index("## b")


def test_to_ossia_and_back() -> None:
    there = conversation_to_ossia(Conversation.from_messages(EVERYTHING.messages[:-1]))
    system = there.messages[0].content
    assert isinstance(system, ossia.SystemContent)
    assert (system.current_date, system.effort) == (date(2025, 6, 28), "high")
    assert [namespace.name for namespace in system.tools] == ["browser", "python"]
    assert conversation_from_ossia(there).messages == EVERYTHING.messages[:-1]
    assert message_to_ossia(EVERYTHING.messages[-1]).text == "It is sunny."
    mixed = Message.from_role_and_contents(Role.SYSTEM, [SystemContent.new(), TextContent(text="more")])
    with pytest.raises(HarmonyError, match="no counterpart"):
        message_to_ossia(mixed)


def test_a_message_that_was_read_comes_back_as_it_was_read() -> None:
    (read,), _ = parse(ENC.encode(CALL, allowed_special="all"), TOK, "assistant")
    message = message_from_ossia(read)
    assert message_to_ossia(message) is read
    assert message_to_ossia(message).recipient_in == "channel"
    assert message == message_from_ossia(message_to_ossia(message))
    assert message_to_ossia(message.with_recipient("functions.y")).recipient_in == "author"
