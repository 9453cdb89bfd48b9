// openai-node against a server: `node openai.mjs CASE URL` prints what the SDK made of it, as JSON.
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [name, url] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const model = "gpt-oss-20b";
const add = {
  type: "function",
  name: "add",
  description: "Add two numbers.",
  strict: false,
  parameters: {
    type: "object",
    properties: { a: { type: "number" }, b: { type: "number" } },
    required: ["a", "b"],
    additionalProperties: false,
  },
};

const cases = {
  async create() {
    const response = await client.responses.create({ model, input: "Hello?" });
    const again = await client.responses.retrieve(response.id);
    return { text: response.output_text, status: response.status, usage: response.usage, again: again.output_text };
  },

  // The stream's accumulator checks every event; its final response has to be the stored one.
  async stream() {
    const stream = client.responses.stream({ model, input: "1 + 2?", tools: [add], store: true });
    const types = [];
    for await (const event of stream) types.push(event.type);
    const response = await stream.finalResponse();
    const stored = await client.responses.retrieve(response.id);
    return { types, output: response.output, stored: stored.output };
  },

  // A call, its answer by previous_response_id, and the answer to that.
  async loop() {
    const first = await client.responses.create({ model, input: "1 + 2?", tools: [add] });
    const call = first.output.find((item) => item.type === "function_call");
    const second = await client.responses.create({
      model,
      previous_response_id: first.id,
      tools: [add],
      input: [{ type: "function_call_output", call_id: call.call_id, output: "3" }],
    });
    return { call, text: second.output_text, cached: second.usage.input_tokens_details.cached_tokens };
  },

  // The same without the server's memory: the output's items sent back, reasoning sealed.
  async stateless() {
    const options = { model, tools: [add], store: false, include: ["reasoning.encrypted_content"] };
    const input = [{ role: "user", content: "1 + 2?" }];
    const first = await client.responses.create({ ...options, input });
    const call = first.output.find((item) => item.type === "function_call");
    const answer = { type: "function_call_output", call_id: call.call_id, output: "3" };
    const second = await client.responses.create({ ...options, input: [...input, ...first.output, answer] });
    return { first: first.output, text: second.output_text };
  },

  async parse() {
    const format = zodTextFormat(z.object({ city: z.string(), people: z.number() }), "place");
    const response = await client.responses.parse({ model, input: "Busan?", text: { format } });
    return { parsed: response.output_parsed };
  },

  async replay() {
    const stream = await client.responses.create({ model, input: "Hello?", stream: true, background: true, store: true });
    const live = [];
    for await (const event of stream) live.push(event);
    const replayed = [];
    const again = await client.responses.retrieve(live[0].response.id, { stream: true, starting_after: 2 });
    for await (const event of again) replayed.push(event);
    return { live, replayed };
  },

  async conversation() {
    const conversation = await client.conversations.create({ metadata: { topic: "greeting" } });
    await client.responses.create({ model, conversation: conversation.id, input: "My name is Mina." });
    const response = await client.responses.create({ model, conversation: conversation.id, input: "What is my name?" });
    const items = [];
    for await (const item of client.conversations.items.list(conversation.id, { order: "asc" })) items.push(item);
    const gone = await client.conversations.delete(conversation.id);
    return { conversation, text: response.output_text, items, gone };
  },

  async chat() {
    const { type, ...definition } = add;
    const stream = client.chat.completions.stream({
      model,
      messages: [{ role: "user", content: "1 + 2?" }],
      tools: [{ type, function: definition }],
      stream_options: { include_usage: true },
    });
    let reasoning = "";
    for await (const chunk of stream) reasoning += chunk.choices[0]?.delta?.reasoning_content ?? "";
    const completion = await stream.finalChatCompletion();
    const [{ message, finish_reason }] = completion.choices;
    const last = await client.chat.completions.create({
      model,
      messages: [
        { role: "user", content: "1 + 2?" },
        message,
        { role: "tool", tool_call_id: message.tool_calls[0].id, content: "3" },
      ],
      tools: [{ type, function: definition }],
    });
    return { reasoning, message, finish_reason, usage: completion.usage, text: last.choices[0].message.content };
  },

  async chatRunner() {
    const { type, ...definition } = add;
    const calls = [];
    const runner = client.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: "1 + 2?" }],
      tools: [
        {
          type,
          function: {
            ...definition,
            parse: JSON.parse,
            function: ({ a, b }) => {
              calls.push([a, b]);
              return String(a + b);
            },
          },
        },
      ],
    });
    return { text: await runner.finalContent(), calls };
  },

  async models() {
    const ids = [];
    for await (const entry of client.models.list()) ids.push(entry.id);
    return { ids };
  },

  // Errors, as the SDK types them.
  async errors() {
    const caught = async (promise) => {
      try {
        await promise;
        return null;
      } catch (error) {
        return { kind: error.constructor.name, status: error.status, code: error.code, message: error.message };
      }
    };
    const long = "word ".repeat(400);
    return {
      model: await caught(client.responses.create({ model: "no-such-model", input: "x" })),
      previous: await caught(client.responses.create({ model, input: "x", previous_response_id: "resp_none" })),
      retrieve: await caught(client.responses.retrieve("resp_none")),
      overflow: await caught(client.responses.create({ model, input: long })),
      overflowStream: await caught(
        client.responses.create({ model, input: long, stream: true }).then(async (stream) => {
          for await (const event of stream) if (event.type === "response.failed") throw event.response.error;
        }),
      ),
      overflowChat: await caught(client.chat.completions.create({ model, messages: [{ role: "user", content: long }] })),
    };
  },
};

console.log(JSON.stringify(await cases[name]()));
