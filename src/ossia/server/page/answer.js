// One answer as it comes about: thought folded, calls shown, text, and what it cost.

import { render } from "./markdown.js";
import { word } from "./words.js";

const PREVIEW_CHARS = 120;

export class Answer {
  constructor(log) {
    this.node = log.appendChild(element("article", "answer"));
    this.said = ""; // the final text so far
    this.spoke = false; // whether anything was shown
    this.began = null; // when the first of it came, in milliseconds
    this.deltas = 0; // about one token each
    this.parts = new Map(); // what is shown for each output item, by its index
    this.due = new Set(); // parts to draw in the next frame
  }

  // Shows one event of a response's stream.
  take(event) {
    const at = event.output_index;
    switch (event.type) {
      case "response.output_item.added":
        this.open(at, event.item);
        break;
      case "response.reasoning_text.delta":
      case "response.reasoning_summary_text.delta":
      case "response.output_text.delta":
      case "response.function_call_arguments.delta":
      case "response.custom_tool_call_input.delta":
        this.write(at, event.type, event.delta);
        break;
      case "response.output_item.done":
        this.close(at, event.item);
        break;
    }
  }

  // Tokens a second until now.
  pace() {
    const seconds = (performance.now() - this.began) / 1000;
    return this.deltas > 1 && seconds > 0.2 ? (this.deltas - 1) / seconds : null;
  }

  // What a tool gave back.
  result(output) {
    const part = folded(this.node, word("result"));
    part.body.textContent = output;
    part.preview.textContent = output.slice(0, PREVIEW_CHARS);
  }

  // What the response came to: warnings and the price.
  end(response) {
    const told = response.ossia ?? {};
    for (const warning of told.warnings ?? []) {
      this.node.append(element("p", "warning", `⚠ ${warning.message || warning.code}`));
    }
    const timings = told.timings;
    const counts = [`${response.usage?.output_tokens ?? "?"} ${word("tokens")}`];
    if (timings?.tokens_per_second) counts.push(`${timings.tokens_per_second.toFixed(1)} ${word("tokens")}/s`);
    if (timings) counts.push(`${word("prompt")} ${timings.prompt_tokens} (${word("known")} ${timings.cached_tokens})`);
    this.node.append(element("p", "cost", counts.join(" · ")));
  }

  fail(message) {
    this.node.append(element("p", "error", message));
  }

  open(at, item) {
    if (item.type === "message") {
      this.parts.set(at, { kind: "message", text: "", body: this.node.appendChild(element("div", "")) });
    } else if (item.type === "reasoning") {
      const part = folded(this.node, word("thinking"));
      this.parts.set(at, { kind: "reasoning", text: "", ...part });
      part.details.hidden = true; // until there is something to read
    } else {
      const part = folded(this.node, `${word("call")} ${item.name ?? item.type}`);
      this.parts.set(at, { kind: "call", text: "", ...part });
    }
  }

  write(at, type, delta) {
    const part = this.parts.get(at);
    if (!part) return;
    this.began ??= performance.now();
    this.deltas += 1;
    this.spoke = true;
    part.text += delta;
    if (type === "response.output_text.delta") this.said += delta;
    if (!this.due.size) requestAnimationFrame(() => this.draw());
    this.due.add(part);
  }

  draw() {
    for (const part of this.due) {
      if (part.kind === "message") {
        part.body.replaceChildren(render(part.text));
        continue;
      }
      part.details.hidden = false;
      part.body.textContent = part.text;
      part.preview.textContent = part.text.slice(-PREVIEW_CHARS).replace(/\s+/g, " ");
    }
    this.due.clear();
  }

  close(at, item) {
    const part = this.parts.get(at);
    if (!part) return;
    if (item.type === "reasoning") part.title.textContent = word("thought");
    this.draw();
  }
}

export function element(name, kind, text = "") {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  node.textContent = text;
  return node;
}

function folded(parent, title) {
  const details = parent.appendChild(document.createElement("details"));
  const summary = details.appendChild(document.createElement("summary"));
  const name = summary.appendChild(element("span", "title", title));
  const preview = summary.appendChild(element("span", "preview"));
  return { details, title: name, preview, body: details.appendChild(element("div", "")) };
}
