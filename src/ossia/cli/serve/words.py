"""What ``ossia serve`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    HELP_SERVE = Text(
        "Serve a model to every program that speaks to OpenAI or to Ollama: the Responses API, Chat "
        "Completions and Ollama's API, all on one port, with a small page at /.\n\n"
        "Only this computer is served unless --host names another address, which needs an API key "
        "(ossia keys create). Ctrl-C stops: what is being answered may finish, a second Ctrl-C ends it.",
        "OpenAI나 Ollama와 통신하는 프로그램에 모델을 제공합니다. Responses API, Chat Completions, "
        "Ollama API를 한 포트에서 쓰고, /에 작은 페이지가 있습니다.\n\n"
        "--host로 다른 주소를 주지 않으면 이 컴퓨터에만 제공하며, 다른 주소에는 API 키가 필요합니다"
        "(ossia keys create). Ctrl-C는 답하던 것을 마치고 멈추며, 한 번 더 누르면 바로 끝냅니다.",
    )
    OPT_HOST = Text("The address to listen on.", "받을 주소.")
    OPT_PORT = Text(
        "The port; 0 is any free one, 11434 is Ollama's.", "포트. 0이면 아무 빈 포트, 11434는 Ollama의 포트."
    )
    OPT_KEY_FILE = Text(
        "The file of API keys, instead of the one ossia keys writes.",
        "ossia keys가 쓰는 파일 대신 쓸 API 키 파일.",
    )
    OPT_STORE = Text(
        "Keep responses and conversations, so that clients can come back to them (on by default).",
        "클라이언트가 다시 찾을 수 있게 응답과 대화를 보관합니다(기본 켜짐).",
    )
    OPT_KEEP_ALIVE = Text(
        "How long an idle model stays in memory: 30s, 5m, 1h, 0; -1 for as long as the server runs.",
        "쓰지 않는 모델을 메모리에 두는 시간: 30s, 5m, 1h, 0. -1이면 서버가 도는 동안 둡니다.",
    )
    OPT_RUNNING = Text("Requests answered at once.", "동시에 답하는 요청 수.")
    OPT_WAITING = Text("Requests that may wait beyond them.", "그 밖에 기다릴 수 있는 요청 수.")
    OPT_CONTEXT = Text(
        "The longest prompt and answer together, in tokens; else as memory allows.",
        "프롬프트와 답을 합한 최대 토큰 수. 없으면 메모리가 허락하는 만큼.",
    )
    OPT_TIMEOUT = Text(
        "Seconds a request may wait, and an answer may take.",
        "요청이 기다릴 수 있는 시간과 답에 쓸 수 있는 시간(초).",
    )
    OPT_MAX_BODY = Text("The largest request.", "가장 큰 요청의 크기.")
    OPT_GRACE = Text("Seconds that answers under way have at the end.", "끝낼 때 답하던 것에 주는 시간(초).")
    OPT_CORS = Text(
        "Let web pages of this origin call, such as http://localhost:3000; may be repeated.",
        "이 출처의 웹 페이지가 부를 수 있게 합니다(예: http://localhost:3000). 여러 번 쓸 수 있습니다.",
    )
    OPT_LOG_LEVEL = Text(
        "What is logged on standard error, as JSON lines.", "표준 오류에 JSON 줄로 남길 기록의 수준."
    )
    OPT_LOG_TEXT = Text(
        "Log what is asked and answered as well, in full: for debugging.",
        "묻고 답한 내용까지 모두 기록합니다(문제를 찾을 때만).",
    )
    OPT_BACKEND = Text(
        "What computes: native (this computer) or vllm (servers named with --url).",
        "계산하는 곳: native(이 컴퓨터) 또는 vllm(--url로 준 서버).",
    )
    OPT_URL = Text("A vLLM server; may be repeated.", "vLLM 서버. 여러 번 쓸 수 있습니다.")
    OPT_TOKENIZER = Text(
        "A tokenizer.json, for a vLLM model that is not gpt-oss.",
        "gpt-oss가 아닌 vLLM 모델의 tokenizer.json.",
    )
    SERVING = Text("Ossia serves {model} at {url}", "Ossia가 {url}에서 {model} 모델을 제공합니다")
    USE_OPENAI = Text(
        "  OpenAI's clients:  OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={secret}",
        "  OpenAI 클라이언트:  OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={secret}",
    )
    USE_OLLAMA = Text("  Ollama's clients:  OLLAMA_HOST={url}", "  Ollama 클라이언트:  OLLAMA_HOST={url}")
    USE_AGENT = Text(
        "  a coding agent:    ossia launch{options} codex",
        "  코딩 에이전트:      ossia launch{options} codex",
    )
    STOP_HINT = Text("Ctrl-C stops.", "Ctrl-C로 멈춥니다.")
    NO_KEY = Text(
        "{host} can be reached from other computers, and there is no API key",
        "{host} 주소는 다른 컴퓨터에서 닿을 수 있는데 API 키가 없습니다",
    )
    MAKE_KEY = Text(
        "Create one with: ossia keys create NAME (or set OSSIA_API_KEY), or listen on 127.0.0.1.",
        "ossia keys create 이름 으로 만들거나(또는 OSSIA_API_KEY 설정), 127.0.0.1에서 받으세요.",
    )
    NOT_A_DURATION = Text(
        "{value} is not a duration such as 5m, 0 or -1", "{value}: 5m, 0, -1 같은 시간이 아닙니다"
    )
    NOT_AN_ORIGIN = Text(
        "{value} is not an origin such as http://localhost:3000",
        "{value}: http://localhost:3000 같은 출처가 아닙니다",
    )
    NEEDS_URL = Text("--backend vllm needs --url", "--backend vllm에는 --url이 필요합니다")
    URL_ALONE = Text("--url goes with --backend vllm", "--url은 --backend vllm과 함께 씁니다")
