"""What ``ossia harmony`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    HELP_HARMONY = Text(
        "Show, check and compare conversations as the model sees them: token by token.",
        "대화를 모델이 보는 그대로, 토큰 하나하나로 보고 검사하고 견줍니다.",
    )
    CMD_SHOW = Text(
        "Show every token, coloured by role and channel.", "모든 토큰을 역할과 채널별 색으로 보여 줍니다."
    )
    CMD_LINT = Text(
        "List what is malformed; for scripts and data sets.",
        "잘못된 곳을 나열합니다(스크립트와 데이터 집합용).",
    )
    CMD_DIFF = Text("Compare two renderings token by token.", "두 렌더링을 토큰 단위로 견줍니다.")
