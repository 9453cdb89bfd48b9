"""What ``ossia bench`` says, in English and Korean."""

from enum import Enum, unique

from ossia.cli.messages import Text


@unique
class W(Enum):
    """The catalogue."""

    CMD_MAKE = Text(
        "Write a checkpoint of random weights in a published shape.",
        "공개된 구조 그대로 무작위 가중치 체크포인트를 만듭니다.",
    )
    CMD_RUN = Text("Measure a model on this machine.", "이 컴퓨터에서 모델의 속도를 잽니다.")
    CMD_DEPTH = Text(
        "Measure decoding behind a long context of random keys and values.",
        "무작위 키와 값으로 채운 긴 문맥 뒤의 디코딩 속도를 잽니다.",
    )
    HELP_DEPTH = Text(
        "Measure decoding behind 32 tokens and behind many, in turn. The keys and values of the long "
        "context are random, not computed: reading them takes the same time, and a prompt of that length "
        "need not be waited for. MODEL is as for `ossia bench run`.",
        "32토큰 뒤와 긴 문맥 뒤의 디코딩을 번갈아 잽니다. 긴 문맥의 키와 값은 계산하지 않고 "
        "무작위로 채웁니다. 읽는 시간은 같고, 긴 프롬프트를 기다리지 않아도 됩니다. MODEL은 "
        "`ossia bench run`과 같습니다.",
    )
    OPT_RANDOM_DEPTH = Text("Tokens before the decoding.", "디코딩 앞에 놓이는 토큰 수.")
    RANDOM_KV = Text(
        "Keys and values of the long context are random: {kind}, {size} in the full layers.",
        "긴 문맥의 키와 값은 무작위입니다: {kind}, 전체 어텐션 층에서 {size}.",
    )
    COL_OF_SHORT = Text("of the short context's", "짧은 문맥 대비")
    WHOLE_CONTEXT = Text(
        "planned for {context:,} tokens: weights {weights}, KV cache {kv}, working {work}, total {total}",
        "{context:,}토큰에 드는 메모리: 가중치 {weights}, KV 캐시 {kv}, 작업용 {work}, 합계 {total}",
    )
    HELP_BENCH = Text(
        "Measure what a model reaches on this machine, beside what the machine could give.",
        "모델이 이 컴퓨터에서 내는 속도를 컴퓨터의 한계와 나란히 잽니다.",
    )
    HELP_MAKE = Text(
        "Write random weights in the shape of a published model, laid out as the published files are, into "
        "Ossia's cache folder. What was interrupted is taken up again; equal options give equal bytes.\n\n"
        "The weights mean nothing and the answers are noise, but they take the time, the memory and the "
        "reading of real ones.",
        "공개된 모델의 구조와 파일 배치를 따르는 무작위 가중치를 Ossia의 캐시 폴더에 씁니다. 중단되면 "
        "이어서 하고, 옵션이 같으면 바이트까지 같습니다.\n\n"
        "가중치에 뜻은 없고 답은 잡음이지만, 드는 시간과 메모리와 읽는 양은 진짜와 같습니다.",
    )
    HELP_RUN = Text(
        "Measure decoding of 1, 4 and 8 streams, prompts of 512 and 2,048 tokens, decoding at depth, loading "
        "and memory. MODEL is any model, or a checkpoint of `ossia bench make` by its name (20b).\n\n"
        "A roofline is what the machine could do at most: for decoding, the bytes a token must read at the "
        "memory's rate; for prompts, the operations at the peak of the instruction used. Both rates are "
        "probed between the rounds. Figures are medians; the range is the slowest and the fastest round.",
        "스트림 1, 4, 8개의 디코딩, 512와 2,048 토큰 프롬프트, 긴 문맥에서의 디코딩, 읽어 들이기와 메모리를 "
        "잽니다. MODEL은 아무 모델이나 `ossia bench make`로 만든 체크포인트의 이름(20b)입니다.\n\n"
        "한계는 컴퓨터가 낼 수 있는 최대치입니다. 디코딩은 토큰마다 읽어야 하는 바이트를 메모리 속도로, "
        "프롬프트는 연산 수를 쓰는 명령의 최대 속도로 나눈 값이며, 두 속도는 재는 사이사이에 함께 잽니다. "
        "값은 중앙값이고 범위는 가장 느린 회와 가장 빠른 회입니다.",
    )
    OPT_SHAPE = Text("The shape.", "구조.")
    OPT_LAYERS = Text("Layers, instead of the shape's own number.", "층의 수(구조에 정해진 수 대신).")
    OPT_ROUTING = Text(
        "How tokens choose experts: evenly, or some experts much more than others.",
        "토큰이 전문가를 고르는 방식: 고르게, 또는 몇몇에 몰리게.",
    )
    OPT_SEED = Text("Another number makes other weights.", "수가 다르면 가중치도 다릅니다.")
    OPT_QUICK = Text("Fewer and shorter rounds.", "적은 횟수로 짧게 잽니다.")
    OPT_DEPTH = Text(
        "Tokens before the decoding at depth (4,096; with --quick 2,048).",
        "긴 문맥에서 디코딩할 때 그 앞의 토큰 수(4,096, --quick이면 2,048).",
    )
    MADE = Text(
        "made {name}: {size} at {path}\nMeasure it with: ossia bench run {name}",
        "{name} 만듦: {size}, {path}\n재는 법: ossia bench run {name}",
    )
    ALREADY_MADE = Text(
        "{name} is already there: {size} at {path}\nMeasure it with: ossia bench run {name}",
        "{name} 이미 있음: {size}, {path}\n재는 법: ossia bench run {name}",
    )

    HEADLINE = Text(
        "{name} · {layers} layers · {numerics} · {isa} · {threads} threads",
        "{name} · 층 {layers}개 · {numerics} · {isa} · 스레드 {threads}개",
    )
    SYNTHETIC = Text(
        "Random weights: the speed is that of the shape, routing is not a trained model's.",
        "무작위 가중치: 속도는 이 구조의 것이지만 전문가 선택은 학습된 모델과 다릅니다.",
    )
    COL_WHAT = Text("tokens per second", "초당 토큰")
    COL_TOK_S = Text("median", "중앙값")
    COL_RANGE = Text("range", "범위")
    COL_ROOFLINE = Text("roofline", "한계")
    COL_SHARE = Text("share", "비율")
    ROW_DECODE = Text("decode, 1 stream", "디코딩, 스트림 1개")
    ROW_STREAMS_4 = Text("decode, 4 streams together", "디코딩, 스트림 4개 합계")
    ROW_STREAMS_8 = Text("decode, 8 streams together", "디코딩, 스트림 8개 합계")
    ROW_DEPTH = Text("decode after {depth} tokens", "{depth}토큰 뒤의 디코딩")
    ROW_PREFILL_512 = Text("prompt of 512", "프롬프트 512토큰")
    ROW_PREFILL_2048 = Text("prompt of 2,048", "프롬프트 2,048토큰")
    NO_ROOM = Text("over the context", "문맥을 넘음")
    FACT_LOAD = Text("load", "읽어 들이기")
    FACT_FIRST = Text("load to first token", "첫 토큰까지")
    FACT_PROMPT = Text("first token, loaded", "읽은 뒤 첫 토큰까지")
    OF_TOKENS = Text("{seconds} s after a prompt of {tokens}", "{tokens}토큰 프롬프트에서 {seconds}초")
    FACT_MEMORY = Text("peak memory", "최대 메모리")
    FACT_PER_TOKEN = Text("read for a token", "토큰마다 읽는 양")
    FACT_BANDWIDTH = Text("memory read", "메모리 읽기")
    FACT_PEAK = Text("peak arithmetic", "최대 연산")
    FACT_DISK = Text("disk, sequential", "디스크 순차 읽기")
    FACT_EXPERTS = Text("experts", "전문가")
    STREAMED = Text(
        "{share} found in memory, {size} read from the disk",
        "{share}가 메모리에 있었고 디스크에서 {size} 읽음",
    )
    SECONDS = Text("{seconds} s", "{seconds}초")
    AT_CONTEXT = Text(
        "{size}, mapped weights included, context {context:,}", "{size}, 매핑된 가중치 포함, 문맥 {context:,}"
    )
    PER_TOKEN = Text("{size} at least", "적어도 {size}")
    SPREAD = Text("{middle} ({low} to {high})", "{middle} ({low}~{high})")
    UNKNOWN = Text("unknown", "알 수 없음")
