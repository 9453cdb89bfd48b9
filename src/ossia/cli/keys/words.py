"""What ``ossia keys`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    CMD_CREATE = Text("Create an API key and show it once.", "API 키를 만들어 한 번 보입니다.")
    CMD_LIST = Text("List the keys.", "키를 나열합니다.")
    CMD_REVOKE = Text("Revoke a key.", "키를 없앱니다.")
    HELP_KEYS = Text(
        "API keys of ossia serve. Where there is one, every request needs one, also on this computer. "
        "What a key stores, no other key sees. A running server takes changes up at once.",
        "ossia serve의 API 키입니다. 키가 하나라도 있으면 이 컴퓨터에서 오는 요청에도 키가 필요합니다. "
        "한 키로 보관한 것은 다른 키로 볼 수 없습니다. 돌고 있는 서버는 바뀐 것을 바로 따릅니다.",
    )
    HELP_CREATE = Text(
        "Create an API key of that name. It is shown once: only its hash is kept.",
        "그 이름의 API 키를 만듭니다. 해시만 보관하므로 키는 한 번만 보입니다.",
    )
    HELP_LIST = Text("List the keys and what they allow.", "키와 각 키로 할 수 있는 것을 나열합니다.")
    HELP_REVOKE = Text("Revoke the key of that name or id.", "그 이름이나 id의 키를 없앱니다.")
    OPT_REASONING = Text(
        "Whether the raw chain of thought is shown to this key (on by default).",
        "이 키에 생각 과정을 그대로 보일지 정합니다(기본 켜짐).",
    )
    OPT_AT_ONCE = Text("Requests it may have under way.", "동시에 보낼 수 있는 요청 수.")
    OPT_FILE = Text("The file of keys, instead of Ossia's own.", "Ossia의 파일 대신 쓸 키 파일.")
    CREATED = Text("The key {name}. It is not shown again:", "{name} 키입니다. 다시 보이지 않습니다:")
    REVOKED = Text("revoked {name} ({id})", "{name} ({id}) 키를 없앴습니다")
    NO_KEYS = Text(
        "No key: only this computer is served. Create one: ossia keys create NAME",
        "키가 없어서 이 컴퓨터에만 제공합니다. 만들기: ossia keys create 이름",
    )
    COL_NAME = Text("name", "이름")
    COL_ID = Text("id", "id")
    COL_CREATED = Text("created", "만든 날")
    COL_REASONING = Text("reasoning", "생각")
    COL_AT_ONCE = Text("at once", "동시")
    SHOWN = Text("shown", "보임")
    WITHHELD = Text("withheld", "안 보임")
