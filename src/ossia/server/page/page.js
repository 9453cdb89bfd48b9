// The page: a conversation kept here, item by item, and sent whole with every question; the server stores none
// of it.

import { Answer, element } from "./answer.js";
import { Refused, keepKey, models, respond } from "./server.js";
import { CLOCK, run } from "./tools.js";
import { speak, word } from "./words.js";

const MAX_ROUNDS = 8; // of calls and their results, in one answer

const find = (id) => document.getElementById(id);
const log = find("log");
const text = find("text");

let chat = { items: [] }; // the conversation, as the server takes it
let running = null; // aborts the answer under way

speak(document);
listModels();
find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
find("stop").addEventListener("click", () => running?.abort());
find("anew").addEventListener("click", anew);
find("keep").addEventListener("click", unlock);
find("key").addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    unlock();
  }
});
text.addEventListener("input", grow);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});

async function listModels() {
  try {
    const names = await models();
    find("model").replaceChildren(...names.map((name) => new Option(name, name)));
    say(names.length ? "" : word("noModel"));
  } catch (error) {
    say(explain(error));
  }
}

async function send() {
  const question = text.value.trim();
  if (!question || running) return;
  const mine = chat; // a new one may begin meanwhile
  const before = mine.items;
  running = new AbortController();
  find("hint")?.remove();
  const asked = log.appendChild(element("div", "you", question));
  asked.setAttribute("aria-label", word("you"));
  text.value = "";
  grow();
  mine.items = [...before, { type: "message", role: "user", content: question }];
  const answer = new Answer(log);
  busy(true);
  log.scrollTop = log.scrollHeight;
  try {
    say(await follow(mine, answer, running.signal));
  } catch (error) {
    const stopped = running.signal.aborted;
    if (answer.said) mine.items.push(spoken(answer.said));
    else mine.items = before;
    if (!stopped && !answer.spoke) text.value = question; // to be asked again
    if (!stopped) answer.fail(explain(error));
    say(word(stopped ? "stopped" : "failed"));
  }
  running = null;
  busy(false);
}

// Follows an answer through its calls; returns how it ended.
async function follow(mine, answer, signal) {
  for (let round = 0; ; round += 1) {
    const response = await one(mine.items, answer, signal);
    mine.items.push(...response.output);
    answer.end(response);
    if (response.status === "incomplete") {
      return word("incomplete") + (response.incomplete_details?.reason ?? "");
    }
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length || round === MAX_ROUNDS) return word("done");
    for (const call of calls) {
      const result = run(call);
      mine.items.push(result);
      answer.result(result.output);
    }
    answer.parts.clear(); // the next response counts its items anew
    answer.said = "";
  }
}

// One response, shown as it comes; returns it when it is complete.
async function one(items, answer, signal) {
  const body = {
    model: find("model").value || undefined,
    input: items,
    reasoning: { effort: chosenEffort() },
    store: false,
    include: ["reasoning.encrypted_content"],
    return_progress: true,
    tools: find("clock").checked ? [CLOCK] : [],
  };
  say(word("waiting"));
  for await (const event of respond(body, signal)) {
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    answer.take(event);
    if (event.type === "error") throw new Refused(event.message ?? event.error?.message);
    if (event.type === "response.failed") throw new Refused(event.response.error?.message);
    if (event.type === "response.completed" || event.type === "response.incomplete") return event.response;
    tell(event, answer);
    if (low) requestAnimationFrame(() => (log.scrollTop = log.scrollHeight));
  }
  throw new Refused(word("failed"));
}

// Progress and pace, while an answer is under way.
function tell(event, answer) {
  const read = event.ossia?.prompt_progress;
  if (read) {
    find("progress").hidden = read.done >= read.total;
    find("progress").value = read.done / read.total;
    say(`${word("reading")}: ${read.done} / ${read.total}`);
  } else if (event.delta !== undefined) {
    find("progress").hidden = true;
    const pace = answer.pace();
    say(word("answering") + (pace ? ` ${pace.toFixed(1)} ${word("tokens")}/s` : ""));
  }
}

const chosenEffort = () => document.querySelector("#effort input:checked").value;

const spoken = (said) => ({
  type: "message",
  role: "assistant",
  content: [{ type: "output_text", text: said, annotations: [] }],
});

function explain(error) {
  if (error instanceof Refused && error.status === 401) {
    find("unlock").hidden = false;
    find("key").focus();
  }
  return error instanceof Refused ? (error.message ?? word("failed")) : word("unreachable");
}

function unlock() {
  keepKey(find("key").value.trim());
  find("key").value = "";
  find("unlock").hidden = true;
  text.focus();
  listModels();
}

function anew() {
  running?.abort();
  chat = { items: [] };
  log.replaceChildren();
  say("");
  text.focus();
}

function busy(is) {
  log.setAttribute("aria-busy", String(is));
  find("send").hidden = is;
  find("stop").hidden = !is;
  find("progress").hidden = true;
  if (!is) text.focus();
}

function say(message) {
  if (find("status").textContent !== message) find("status").textContent = message;
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}
