// The page's words, in the reader's language: Korean, or else English.

const WORDS = {
  en: {
    anew: "New chat",
    answering: "Answering…",
    call: "Call:",
    clock: "Clock tool",
    conversation: "Conversation",
    done: "Answer complete.",
    effort: "Effort",
    failed: "The answer failed.",
    high: "High",
    hint: "Ask something. Enter sends, Shift+Enter begins a line, Esc stops.",
    incomplete: "The answer was cut short: ",
    keep: "Use this key",
    key: "This server asks for an API key",
    known: "already computed",
    low: "Low",
    medium: "Medium",
    message: "Message",
    model: "Model",
    noModel: "No model is installed. On the server's computer: ossia pull pocket",
    prompt: "prompt",
    reading: "Reading the prompt",
    result: "Result",
    send: "Send",
    stop: "Stop",
    stopped: "Stopped.",
    thinking: "Thinking",
    thought: "Thought",
    tokens: "tokens",
    unreachable: "The server cannot be reached.",
    waiting: "Waiting for a place…",
    you: "You",
  },
  ko: {
    anew: "새 대화",
    answering: "답하는 중…",
    call: "호출:",
    clock: "시계 도구",
    conversation: "대화",
    done: "답변을 마쳤습니다.",
    effort: "생각의 깊이",
    failed: "답변하지 못했습니다.",
    high: "깊게",
    hint: "무엇이든 물어보세요. Enter로 보내고, Shift+Enter로 줄을 바꾸고, Esc로 멈춥니다.",
    incomplete: "답변이 중간에 끊겼습니다: ",
    keep: "이 키 사용",
    key: "이 서버는 API 키가 필요합니다",
    known: "이미 계산됨",
    low: "얕게",
    medium: "보통",
    message: "메시지",
    model: "모델",
    noModel: "설치된 모델이 없습니다. 서버 컴퓨터에서: ossia pull pocket",
    prompt: "입력",
    reading: "입력을 읽는 중",
    result: "결과",
    send: "보내기",
    stop: "멈추기",
    stopped: "멈췄습니다.",
    thinking: "생각하는 중",
    thought: "생각",
    tokens: "토큰",
    unreachable: "서버에 연결할 수 없습니다.",
    waiting: "차례를 기다리는 중…",
    you: "나",
  },
};

const LANGUAGE = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";

export const word = (name) => WORDS[LANGUAGE][name];

// Puts words where the document asks for them: as text, as label, as placeholder.
export function speak(document) {
  document.documentElement.lang = LANGUAGE;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", word(node.dataset.label));
  }
  for (const node of document.querySelectorAll("[data-placeholder]")) {
    node.placeholder = word(node.dataset.placeholder);
  }
}
