// The AI SDK against a server: `node ai.mjs PROVIDER URL` runs a tool loop and prints what a user would see.
import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const [name, url] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const open = createOpenResponses({ name: "ossia", url: `${url}/v1/responses` });
const model = "gpt-oss-20b";
// The SDK knows OpenAI's own names only: it is told that this model reasons, and to ask for what it shows.
const shown = { openai: { forceReasoning: true, reasoningSummary: "detailed" } };
const providers = {
  responses: { model: openai.responses(model), providerOptions: shown },
  stateless: { model: openai.responses(model), providerOptions: { openai: { ...shown.openai, store: false } } },
  chat: { model: openai.chat(model) },
  open: { model: open(model) },
};

const calls = [];
const add = tool({
  description: "Add two numbers.",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => {
    calls.push([a, b]);
    return { sum: a + b };
  },
});

async function streamed(options) {
  const seen = { reasoning: "", text: "", errors: [], kinds: [] };
  const result = streamText({
    ...options,
    prompt: "1 + 2?",
    tools: { add },
    stopWhen: isStepCount(3),
    maxRetries: 0,
    onError: ({ error }) => seen.errors.push(String(error)),
  });
  for await (const part of result.fullStream) {
    if (seen.kinds.at(-1) !== part.type) seen.kinds.push(part.type);
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    if (part.type === "text-delta") seen.text += part.text;
  }
  const steps = await result.steps;
  return { ...seen, calls, steps: steps.length, finish: await result.finishReason, usage: await result.totalUsage };
}

async function whole(options) {
  const result = await generateText({ ...options, prompt: "1 + 2?", tools: { add }, stopWhen: isStepCount(3), maxRetries: 0 });
  return { text: result.text, reasoning: result.steps.map((step) => step.reasoningText), calls };
}

async function structured(options) {
  const schema = z.object({ city: z.string(), people: z.number() });
  const result = await generateText({ ...options, prompt: "Busan?", output: Output.object({ schema }), maxRetries: 0 });
  return { object: result.output };
}

async function overflow(options) {
  try {
    await generateText({ ...options, prompt: "word ".repeat(400), maxRetries: 0 });
    return {};
  } catch (error) {
    return { status: error.statusCode, message: error.message, body: error.responseBody };
  }
}

const [provider, what = "streamed"] = name.split(":");
console.log(JSON.stringify(await { streamed, whole, structured, overflow }[what](providers[provider])));
