// Talks to the server: the models, and answers as they stream.

const KEY = "ossia-api-key";

// What the server refused, in its own words.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const keepKey = (key) => sessionStorage.setItem(KEY, key);

// The models' names.
export async function models() {
  const answer = await ask("v1/models", {});
  return (await answer.json()).data.map((model) => model.id);
}

// The events of one response. Leaving the loop, or `signal`, ends the generation.
export async function* respond(body, signal) {
  const answer = await ask("v1/responses", {
    method: "POST",
    signal,
    body: JSON.stringify({ ...body, stream: true }),
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").filter((line) => line.startsWith("data:"));
        const text = data.map((line) => line.slice(5).trimStart()).join("\n");
        if (text && text !== "[DONE]") yield JSON.parse(text);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function ask(path, options) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(told.error?.message ?? `${answer.status} ${answer.statusText}`, answer.status);
}
