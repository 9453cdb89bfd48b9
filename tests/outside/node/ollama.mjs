// ollama-js against a server: `node ollama.mjs CASE URL` prints what the client made of it, as JSON.
import { Ollama } from "ollama";

const [name, url] = process.argv.slice(2);
const client = new Ollama({ host: url });
const model = "gpt-oss:20b";
const add = {
  type: "function",
  function: {
    name: "add",
    description: "Add two numbers.",
    parameters: {
      type: "object",
      properties: { a: { type: "number" }, b: { type: "number" } },
      required: ["a", "b"],
    },
  },
};
const city = {
  type: "object",
  properties: { city: { type: "string" }, people: { type: "integer" } },
  required: ["city", "people"],
};

const cases = {
  async models() {
    const shown = await client.show({ model });
    const { models } = await client.list();
    const { models: loaded } = await client.ps();
    const { version } = await client.version();
    return { shown, models, loaded, version };
  },

  async stream() {
    const parts = [];
    for await (const part of await client.chat({
      model,
      messages: [{ role: "user", content: "Hello?" }],
      think: "low",
      stream: true,
    })) {
      parts.push(part);
    }
    const said = (key) => parts.map((part) => part.message[key] ?? "").join("");
    return { text: said("content"), thought: said("thinking"), last: parts.at(-1) };
  },

  // The client's own loop: a call, its result by the tool's name, and the answer to that.
  async loop() {
    const messages = [{ role: "user", content: "1 + 2?" }];
    for (;;) {
      const answer = await client.chat({ model, messages, tools: [add] });
      messages.push(answer.message);
      if (!answer.message.tool_calls) return { text: answer.message.content, cached: answer.ossia.timings.cached_tokens };
      for (const { function: call } of answer.message.tool_calls) {
        const sum = call.arguments.a + call.arguments.b;
        messages.push({ role: "tool", tool_name: call.name, content: String(sum) });
      }
    }
  },

  async format() {
    const answer = await client.generate({ model, prompt: "Busan?", format: city });
    return JSON.parse(answer.response);
  },

  // Leaves a stream after its first part.
  async abort() {
    const stream = await client.generate({ model, prompt: "Hello?", stream: true });
    for await (const part of stream) {
      stream.abort();
      return { first: part.thinking };
    }
  },

  async pull() {
    const { status } = await client.pull({ model });
    const missing = await client.pull({ model: "gpt-oss:120b", stream: true });
    try {
      for await (const part of missing) console.error(part);
    } catch (error) {
      return { status, refused: error.message };
    }
  },

  async missing() {
    try {
      await client.chat({ model: "llama3.2", messages: [{ role: "user", content: "Hello?" }] });
    } catch (error) {
      return { status: error.status_code, message: error.message };
    }
  },
};

console.log(JSON.stringify(await cases[name]()));
process.exit(0);
