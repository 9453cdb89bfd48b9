"""What ``ossia launch`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    HELP_LAUNCH = Text(
        "Start another program on this computer's model: codex, opencode or qwen.\n\n"
        "Writes its configuration in a folder of Ossia's own, never in the program's, starts a server where "
        "none runs on the port, and gives the program all that follows its name. The server goes with it.",
        "이 컴퓨터의 모델로 다른 프로그램(codex, opencode, qwen)을 시작합니다.\n\n"
        "설정은 그 프로그램의 폴더가 아니라 Ossia의 폴더에 쓰고, 포트에 서버가 없으면 시작하며, 이름 뒤의 "
        "인자는 모두 그 프로그램에 넘깁니다. 시작한 서버는 프로그램과 함께 끝납니다.",
    )
    OPT_PORT = Text("The server's port.", "서버의 포트.")
    OPT_KEY = Text("An API key, where the running server wants one.", "실행 중인 서버가 요구하는 API 키.")
    OPT_PRINT = Text(
        "Only show the files, variables and command; write and start nothing.",
        "파일, 변수, 명령을 보이기만 하고 쓰거나 시작하지 않습니다.",
    )
    USING = Text("using the server at {url}", "{url}의 서버 사용")
    STARTING = Text("starting a server at {url}; its log: {log}", "{url}에 서버를 시작합니다. 기록: {log}")
    WROTE = Text("wrote {path}", "{path} 씀")
    SET = Text("set {name}={value}", "{name}={value} 설정")
    SET_SECRET = Text("set {name} (not shown)", "{name} 설정(값은 보이지 않음)")
    RUNNING = Text("running {command}", "실행: {command}")
    WOULD_WRITE = Text("# {path}", "# {path} 파일")
    WOULD_SET_SECRET = Text("# and {name}, not shown", "# 그리고 {name}(값은 보이지 않음)")
