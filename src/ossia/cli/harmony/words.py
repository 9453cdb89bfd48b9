"""What ``ossia harmony`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue. ``CODE_…`` explain the parser's diagnostics and `checks`' findings."""

    # help
    HELP_HARMONY = Text(
        "Show, check and compare conversations as the model sees them: token by token.\n\n"
        "FILE, or - for standard input, is Harmony text, a JSON list of token ids, chat messages (Chat "
        "Completions), a Responses object, or a conversation saved with /save; which one is found out. "
        "No model is needed.",
        "대화를 모델이 보는 그대로, 토큰 하나하나로 보고 검사하고 견줍니다.\n\n"
        "파일(또는 표준 입력 -)은 Harmony 텍스트, 토큰 번호의 JSON 목록, 채팅 메시지(Chat Completions), "
        "Responses 객체, /save로 저장한 대화 가운데 하나이며 무엇인지는 알아서 가립니다. "
        "모델은 없어도 됩니다.",
    )
    CMD_SHOW = Text(
        "Show every token, coloured by role and channel.", "모든 토큰을 역할과 채널별 색으로 보여 줍니다."
    )
    CMD_LINT = Text(
        "List what is malformed; for scripts and data sets.",
        "잘못된 곳을 나열합니다(스크립트와 데이터 집합용).",
    )
    CMD_DIFF = Text("Compare two renderings token by token.", "두 렌더링을 토큰 단위로 견줍니다.")
    HELP_SHOW = Text(
        "Show every token of a conversation: its message, role and channel by colour, control tokens in "
        "reverse, what is malformed and what was assumed, and counts.\n\n"
        "Token ids and Harmony text are shown as they are, anything else as Ossia would render it. Without "
        "colour, · stands between tokens, and ⟦ ⟧ around what --mask says is learnt. "
        "Exit codes: 0 shown, 1 a fault in Ossia, 2 unusable input, 3 the model.",
        "대화의 모든 토큰을 보여 줍니다: 메시지, 역할, 채널은 색으로, 제어 토큰은 반전으로, "
        "그리고 잘못된 곳과 그때 가정한 것, 개수.\n\n"
        "토큰 번호와 Harmony 텍스트는 있는 그대로, 나머지는 Ossia가 렌더링할 모습으로 보입니다. 색이 없으면 "
        "토큰 사이에 ·를, --mask로 학습되는 곳에는 ⟦ ⟧를 씁니다. "
        "종료 코드: 0 보임, 1 Ossia의 결함, 2 쓸 수 없는 입력, 3 모델.",
    )
    HELP_LINT = Text(
        "Print a line for everything malformed: FILE:TOKENS: CODE: DETAIL, for Harmony text with line and "
        "column before the tokens. JSON Lines data sets are read row by row (messages or text), and the line "
        "is named.\n\n"
        "Exit codes: 0 nothing malformed, 1 something malformed, 2 unusable input, 3 the model.",
        "잘못된 곳마다 한 줄을 출력합니다: 파일:토큰: 코드: 설명. "
        "Harmony 텍스트이면 토큰 앞에 줄과 칸이 옵니다. "
        "JSON Lines 데이터 집합은 한 줄씩(messages 또는 text) 읽고 줄 번호를 댑니다.\n\n"
        "종료 코드: 0 잘못 없음, 1 잘못된 곳 있음, 2 쓸 수 없는 입력, 3 모델.",
    )
    HELP_DIFF = Text(
        "Compare the ids of two inputs; or of one as it is with the same one rendered as the options say. "
        "With two inputs the options hold for both.\n\n"
        "Exit codes: 0 equal, 1 different, 2 unusable input, 3 the model.",
        "두 입력의 토큰을, 또는 한 입력을 있는 그대로와 옵션대로 렌더링한 것을 견줍니다. "
        "입력이 둘이면 옵션은 양쪽에 적용됩니다.\n\n"
        "종료 코드: 0 같음, 1 다름, 2 쓸 수 없는 입력, 3 모델.",
    )
    OPT_MODEL = Text(
        "Use the vocabulary of this model instead of o200k_harmony.",
        "o200k_harmony 대신 이 모델의 어휘를 씁니다.",
    )
    OPT_ROW = Text("The line of a JSON Lines data set to show.", "JSON Lines 데이터 집합에서 보일 줄.")
    OPT_MASK = Text(
        "Show the training examples, one per assistant turn, and what is learnt of them.",
        "학습 예시(어시스턴트 차례마다 하나)와 그 가운데 학습되는 부분을 보입니다.",
    )
    OPT_IDS = Text("Write the id under each token.", "토큰마다 번호를 아래에 적습니다.")
    OPT_PAGER = Text("Page what is longer than the screen.", "화면보다 길면 나누어 보입니다.")
    OPT_CANONICAL = Text(
        "Render messages anew instead of as they were sampled.", "샘플링된 그대로가 아니라 새로 렌더링합니다."
    )
    OPT_SCHEMA = Text(
        "How tools are written: compat (openai-harmony's way) or full.",
        "도구를 적는 방식: compat(openai-harmony와 같음) 또는 full.",
    )
    OPT_KEEP = Text("Keep the analysis of finished turns.", "끝난 차례의 analysis를 남깁니다.")
    OPT_STRICT = Text(
        "Also what is well-formed and probably not meant.", "형식은 맞지만 의도하지 않았을 것까지 알립니다."
    )
    OPT_CONTEXT = Text("Equal tokens to show around a difference.", "차이 앞뒤로 보일 같은 토큰의 수.")

    # inputs
    KIND_TEXT = Text("Harmony text", "Harmony 텍스트")
    KIND_IDS = Text("token ids", "토큰 번호")
    KIND_CHAT = Text("chat messages", "채팅 메시지")
    KIND_RESPONSES = Text("Responses object", "Responses 객체")
    KIND_SAVED = Text("saved conversation", "저장된 대화")
    READING_STDIN = Text(
        "type or paste a conversation, then Ctrl-D", "대화를 입력하거나 붙여 넣고 Ctrl-D를 누르세요"
    )
    GIVE_FILE = Text(
        "Give a file that can be read, or - for standard input.",
        "읽을 수 있는 파일을 주거나, 표준 입력이면 -를 쓰세요.",
    )
    CORRECT = Text("Correct it in {name}.", "{name}에서 그곳을 고치세요.")
    GIVE_KINDS = Text(
        "Give Harmony text, token ids as JSON, chat messages, a Responses object or a saved conversation.",
        "Harmony 텍스트, JSON 토큰 번호, 채팅 메시지, Responses 객체, 저장된 대화 가운데 하나를 주세요.",
    )
    BAD_UTF8 = Text(
        "{name} is not UTF-8: byte 0x{byte:02x} at offset {offset}",
        "{name}: UTF-8이 아닙니다(오프셋 {offset}의 바이트 0x{byte:02x})",
    )
    EMPTY = Text("{name} is empty", "{name}: 비어 있습니다")
    MANY_ROWS = Text("{name} is a data set of {count:,} lines", "{name}: {count:,}줄짜리 데이터 집합입니다")
    GIVE_ROW = Text(
        "Choose a line: ossia harmony show --row 1; lint reads them all.",
        "줄을 고르세요: ossia harmony show --row 1. lint는 모든 줄을 읽습니다.",
    )
    ONE_STDIN = Text("standard input can be read once", "표준 입력은 한 번만 읽을 수 있습니다")
    NOTHING_LEARNT = Text(
        "nothing is learnt here: the assistant says nothing",
        "학습할 것이 없습니다: 어시스턴트의 말이 없습니다",
    )
    GIVE_ANSWER = Text(
        "Give a conversation with an assistant's message.", "어시스턴트의 메시지가 있는 대화를 주세요."
    )

    # show
    HEADLINE = Text(
        "{name}: {kind}, {vocabulary}, {tokens:,} tokens, {messages:,} messages",
        "{name}: {kind}, {vocabulary}, 토큰 {tokens:,}개, 메시지 {messages:,}개",
    )
    HEADLINE_MASK = Text(
        "{name}: {kind}, {vocabulary}, training examples: {examples:,}",
        "{name}: {kind}, {vocabulary}, 학습 예시 {examples:,}개",
    )
    PROMPTED = Text(
        "begins without <|start|>: read as what follows <|start|>assistant",
        "<|start|> 없이 시작하므로 <|start|>assistant 다음에 이어지는 것으로 읽었습니다",
    )
    DROPPED = Text(
        "{count} messages of analysis from finished turns are dropped; --no-drop-analysis keeps them",
        "끝난 차례의 analysis 메시지 {count}개는 뺐습니다. --no-drop-analysis로 남길 수 있습니다",
    )
    SAVED_WITH = Text(
        "shown as gpt-oss would be sent it; it was held with {model}, whose own ids -m shows",
        "gpt-oss에 보낼 모습입니다. 대화한 모델은 {model}이며, -m으로 그 모델의 토큰을 볼 수 있습니다",
    )
    LOST_TOOLS = Text(
        "not declared, as only their names were saved: {names}", "이름만 저장되어 선언하지 못한 도구: {names}"
    )
    EXAMPLE = Text(
        "example {number} of {all}: {tokens:,} tokens, {learnt:,} learnt",
        "예시 {number}/{all}: 토큰 {tokens:,}개, 그 가운데 {learnt:,}개를 학습",
    )
    AS_BEFORE = Text(
        "… {messages} messages as in the example before ({tokens:,} tokens, not learnt)",
        "… 앞 예시와 같은 메시지 {messages}개(토큰 {tokens:,}개, 학습 안 함)",
    )
    TOKENS = Text("{count:,} tokens", "{count:,}토큰")
    OUTSIDE = Text("outside any message", "메시지 밖")
    DIAGNOSTICS = Text("malformed: {count}", "잘못된 곳: {count}")
    COL_ROLE = Text("role", "역할")
    COL_CHANNEL = Text("channel", "채널")
    COL_MESSAGES = Text("messages", "메시지")
    COL_TOKENS = Text("tokens", "토큰")
    COL_LEARNT = Text("learnt", "학습")
    TOTAL = Text("total", "합계")

    # lint
    CLEAN = Text("nothing malformed: {tokens:,} tokens", "잘못된 곳이 없습니다: 토큰 {tokens:,}개")
    FOUND = Text("{count:,} found in {tokens:,} tokens", "토큰 {tokens:,}개에서 {count:,}곳을 찾았습니다")

    # diff
    EQUAL = Text("equal: {tokens:,} tokens", "같습니다: 토큰 {tokens:,}개")
    FIRST = Text("first difference at token {at:,}, in {where}", "첫 차이는 토큰 {at:,}, {where}")
    IN_MESSAGE = Text("message {number} ({title})", "메시지 {number}({title})")
    AS_RENDERED = Text("{name}, rendered with {options}", "{name}, {options}(으)로 렌더링")
    NEED_TWO = Text("there is nothing to compare {name} with", "{name}: 견줄 것이 없습니다")
    GIVE_SECOND = Text(
        "Give a second FILE, or --canonical, --schema compat or --no-drop-analysis.",
        "파일을 하나 더 주거나 --canonical, --schema compat, --no-drop-analysis를 쓰세요.",
    )
    SUMMARY = Text(
        "{removed:,} tokens only in A, {added:,} only in B",
        "A에만 있는 토큰 {removed:,}개, B에만 있는 토큰 {added:,}개",
    )

    # codes: the parser's, and what it assumes
    CODE_BARE_RECIPIENT = Text('a recipient without "to="; read as one', '"to=" 없는 수신자. 수신자로 읽음')
    CODE_CALL_CHANNEL = Text(
        "a call to a function outside the commentary channel; a call all the same",
        "commentary 채널 밖의 함수 호출. 그래도 호출로 읽음",
    )
    CODE_CALL_WITHOUT_MARKER = Text(
        "a call that does not end in <|call|>; the recipient makes it one",
        "<|call|>로 끝나지 않은 호출. 수신자가 있으므로 호출로 읽음",
    )
    CODE_FOREIGN_ROLE = Text(
        "the model wrote somebody else's message; kept as theirs",
        "모델이 다른 이의 메시지를 씀. 그 사람의 것으로 둠",
    )
    CODE_GARBLED_CHANNEL = Text(
        "a channel's name inside a longer word; read as that channel",
        "더 긴 단어 속의 채널 이름. 그 채널로 읽음",
    )
    CODE_HEADER_WORDS = Text(
        "words in a header that mean nothing there; left out", "헤더에 뜻 없는 단어가 있음. 뺌"
    )
    CODE_MARKER_WITHOUT_CALL = Text(
        "<|call|> after a message to nobody; no call", "수신자 없는 메시지 뒤의 <|call|>. 호출이 아님"
    )
    CODE_MISPLACED_CHANNEL = Text(
        "a channel's name in another's place; read as the channel", "다른 자리에 놓인 채널 이름. 채널로 읽음"
    )
    CODE_MISSING_CHANNEL = Text(
        "an assistant's message without a channel; left without one",
        "채널 없는 어시스턴트 메시지. 채널 없이 둠",
    )
    CODE_MISSING_END = Text(
        "the next message begins before this one ended; it ends there",
        "메시지가 끝나기 전에 다음 메시지가 시작됨. 그 앞에서 끝냄",
    )
    CODE_MISSING_MESSAGE = Text(
        "a header without <|message|>; what follows it is the body",
        "<|message|> 없는 헤더. 그 뒤를 본문으로 읽음",
    )
    CODE_MISSING_ROLE = Text(
        "a header that does not say whose message it is; the assistant's",
        "누구의 메시지인지 밝히지 않은 헤더. 어시스턴트로 읽음",
    )
    CODE_MISSING_START = Text(
        "a header without <|start|>; a message begins all the same",
        "<|start|> 없는 헤더. 그래도 메시지의 시작으로 읽음",
    )
    CODE_RECIPIENT_IN_ROLE = Text(
        "a tool's name where the author should be; read as the recipient",
        "지은이 자리의 도구 이름. 수신자로 읽음",
    )
    CODE_REPEATED_CHANNEL = Text(
        "a channel twice in one header; the last known one counts",
        "한 헤더에 채널이 두 번. 아는 것 가운데 마지막을 따름",
    )
    CODE_REPEATED_CONSTRAIN = Text(
        "<|constrain|> twice in one header; the first that names something counts",
        "한 헤더에 <|constrain|>이 두 번. 이름이 있는 첫째를 따름",
    )
    CODE_REPEATED_RECIPIENT = Text(
        "a recipient twice in one header; the last counts", "한 헤더에 수신자가 두 번. 마지막을 따름"
    )
    CODE_SKIPPED_HEADER = Text(
        "a header, or filler, that never became a message; skipped", "메시지가 되지 못한 헤더나 군말. 건너뜀"
    )
    CODE_SPELLED_HEADER = Text(
        "headers without any marker; read as headers", "마커가 하나도 없는 헤더. 헤더로 읽음"
    )
    CODE_SPELLED_MARKER = Text(
        "a marker written as text in a header; read as the marker", "글자로 쓴 마커. 마커로 읽음"
    )
    CODE_STRAY_TOKEN = Text(
        "a token between messages that begins none; skipped",
        "메시지 사이에서 아무것도 시작하지 않는 토큰. 건너뜀",
    )
    CODE_UNEXPECTED_TOKEN = Text(
        "a control token, or an id outside the vocabulary, in a text; left out",
        "본문 속의 제어 토큰 또는 어휘 밖의 번호. 뺌",
    )
    CODE_UNKNOWN_CHANNEL = Text(
        "a channel that Harmony does not have; kept under its name", "Harmony에 없는 채널. 그 이름대로 둠"
    )
    CODE_UNKNOWN_ROLE = Text(
        "an author that is neither a role nor a tool; the assistant",
        "역할도 도구도 아닌 지은이. 어시스턴트로 읽음",
    )

    # codes: what is checked besides
    CODE_UNREADABLE = Text("no conversation", "대화가 아님")
    CODE_UNDECLARED_RECIPIENT = Text("a call to something that is not declared", "선언되지 않은 것을 부름")
    CODE_ARGUMENTS_NOT_JSON = Text("arguments that are no JSON object", "JSON 객체가 아닌 인자")
    CODE_ARGUMENTS_SCHEMA = Text("arguments that do not satisfy their schema", "스키마에 맞지 않는 인자")
    CODE_INPUT_GRAMMAR = Text("a text that its tool's grammar does not allow", "도구의 문법에 맞지 않는 입력")
    CODE_BAD_SCHEMA = Text("a tool whose schema or grammar cannot be used", "스키마나 문법을 쓸 수 없는 도구")
    CODE_STALE_ANALYSIS = Text(
        "analysis of a finished turn, which is dropped", "빠져야 할, 끝난 차례의 analysis"
    )
    CODE_UNANSWERED_CALL = Text("a call without a result", "결과가 없는 호출")
    CODE_RESULT_WITHOUT_CALL = Text("a result nobody asked for", "부르지 않은 도구의 결과")
    CODE_NO_FINAL = Text("the last turn ends without a final", "마지막 차례가 final 없이 끝남")
    CODE_RETURN_IN_HISTORY = Text("<|return|> before the end", "끝이 아닌 곳의 <|return|>")
    CODE_NOT_CANONICAL = Text("ids that rendering would choose otherwise", "렌더링이라면 달리 골랐을 토큰")


def meaning(code: str) -> W | None:
    """What a finding's code means; None for a code that says it itself."""
    return W.__members__.get("CODE_" + code.replace("-", "_").upper())
