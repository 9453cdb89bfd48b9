"""What ``ossia cache`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    CMD_SHOW = Text(
        "Say what computed prompts take of the disk.", "계산한 프롬프트가 디스크를 얼마나 쓰는지 보입니다."
    )
    CMD_CLEAR = Text("Remove them.", "지웁니다.")
    HELP_CACHE = Text(
        "What was computed from long prompts and kept on the disk, so that their next start is nearly free. "
        "Nothing is kept unless it is switched on: with --prefix-cache, or with OSSIA_PREFIX_CACHE.",
        "긴 프롬프트에서 계산해 디스크에 둔 것으로, 다음 실행의 시작이 거의 공짜가 됩니다. --prefix-cache나 "
        "OSSIA_PREFIX_CACHE로 켜지 않으면 아무것도 두지 않습니다.",
    )
    HELP_SHOW = Text(
        "Say how much computed prompts take, where they are, and up to what size more are kept.",
        "계산한 프롬프트의 크기와 위치, 그리고 얼마까지 두는지 보입니다.",
    )
    HELP_CLEAR = Text(
        "Remove the computed prompts of all models. Only time is lost: they are computed again when needed.",
        "모든 모델의 계산한 프롬프트를 지웁니다. 필요해지면 다시 계산하므로 시간만 더 듭니다.",
    )
    KEPT = Text("{size} in {files} files at {folder}", "{folder}에 파일 {files}개, {size}")
    ON = Text("switched on, up to {limit}", "켜짐, {limit}까지")
    OFF = Text(
        "switched off: none is read or written (--prefix-cache on, or OSSIA_PREFIX_CACHE=on)",
        "꺼짐: 읽지도 쓰지도 않습니다(--prefix-cache on 또는 OSSIA_PREFIX_CACHE=on)",
    )
    CLEARED = Text("removed {size} from {folder}", "{folder}에서 {size} 지움")
