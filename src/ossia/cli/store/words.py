"""What ``ossia store`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    CMD_SHOW = Text("Say how much the server keeps, and where.", "서버가 보관한 양과 위치를 보입니다.")
    CMD_SEARCH = Text("Find words in what was said.", "주고받은 말에서 낱말을 찾습니다.")
    CMD_EXPORT = Text("Write everything to a file.", "모두 파일에 씁니다.")
    CMD_IMPORT = Text("Read such a file.", "그 파일을 읽어 들입니다.")
    CMD_CLEAR = Text("Delete everything.", "모두 지웁니다.")
    HELP_STORE = Text(
        "What ossia serve keeps: responses and conversations, so that clients can come back to them. It is "
        "one file that only you can read; with ossia serve --no-store nothing is kept.",
        "ossia serve가 보관하는 응답과 대화로, 클라이언트가 다시 찾을 수 있게 합니다. 본인만 읽을 수 있는 "
        "파일 하나이며, ossia serve --no-store를 쓰면 아무것도 보관하지 않습니다.",
    )
    HELP_SHOW = Text(
        "Say how many responses, conversations and items are kept, how large they are, and in which file.",
        "보관한 응답, 대화, 항목의 수와 크기, 그리고 파일의 위치를 보입니다.",
    )
    HELP_SEARCH = Text(
        "Find where all the words of TEXT were said, by users or models, newest first. Parts of words are "
        "found too.",
        "TEXT의 모든 낱말이 나온 곳을 사용자와 모델의 말에서 찾아 최신 것부터 보입니다. "
        "낱말의 일부도 찾습니다.",
    )
    HELP_EXPORT = Text(
        "Write everything to FILE as JSON Lines; without FILE, or with -, to standard output. The server may "
        "be running.",
        "모두 JSON Lines로 FILE에 씁니다. FILE이 없거나 -이면 표준 출력에 씁니다. "
        "서버가 실행 중이어도 됩니다.",
    )
    HELP_IMPORT = Text(
        "Add what ossia store export wrote (- is standard input). All of it or nothing: a line that cannot "
        "be used is named, and nothing is added. What is there already is skipped.",
        "ossia store export가 쓴 것을 더합니다(-는 표준 입력). 전부 아니면 전무: 쓸 수 없는 줄이 있으면 "
        "그 줄을 알리고 아무것도 더하지 않습니다. 이미 있는 것은 건너뜁니다.",
    )
    HELP_CLEAR = Text(
        "Delete all responses and conversations, and copies made by older versions. There is no way back: "
        "export first what you may want. The server may be running.",
        "응답과 대화, 그리고 이전 버전의 사본을 모두 지웁니다. 되돌릴 수 없으니 필요한 것은 먼저 내보내세요. "
        "서버가 실행 중이어도 됩니다.",
    )
    OPT_LIMIT = Text("Show at most N places.", "많아야 N곳을 보입니다.")
    NOTHING = Text("nothing is kept at {path}", "{path}에 보관한 것이 없음")
    KEPT = Text(
        "responses: {responses}, conversations: {conversations} (items: {items}), {size}, at {path}",
        "응답 {responses}개, 대화 {conversations}개(항목 {items}개), {size}, {path}",
    )
    NOT_FOUND = Text("not found", "찾지 못함")
    EXPORTED = Text("wrote {number} records to {file}", "{file}에 {number}건 씀")
    IMPORTED = Text(
        "added {added} records, skipped {skipped} that were there already",
        "{added}건 더함, 이미 있는 {skipped}건 건너뜀",
    )
    NEEDS_YES = Text("deleting everything at {path} needs a yes", "{path}의 모든 것을 지우려면 확인이 필요함")
    ASK_CLEAR = Text("Delete everything at {path}?", "{path}의 모든 것을 지울까요?")
    CLEARED = Text(
        "deleted from {path}: responses {responses}, conversations {conversations}, items {items}",
        "{path}에서 응답 {responses}개, 대화 {conversations}개(항목 {items}개) 지움",
    )
