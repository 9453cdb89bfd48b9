// A little Markdown as nodes: fenced code, lists, headings, bold, inline code. What a model writes becomes
// text nodes and nothing else; there are no links, no images and no HTML.

const FENCE = /^\s*```+\s*([\w+#.-]*)/;
const ITEM = /^(\s*)(?:([-*+])|(\d+)[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const INLINE = /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|\*\*(?=\S)([\s\S]*?\S)\*\*/g;

// `text` as a fragment.
export function render(text) {
  const whole = document.createDocumentFragment();
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) at += 1;
    else if (FENCE.test(lines[at])) at = takeCode(lines, at, whole);
    else if (ITEM.test(lines[at])) at = takeList(lines, at, whole);
    else if (HEADING.test(lines[at])) {
      whole.append(inline("h3", HEADING.exec(lines[at])[1]));
      at += 1;
    } else at = takeParagraph(lines, at, whole);
  }
  return whole;
}

// A code block that is not closed yet goes on to the end.
function takeCode(lines, at, whole) {
  const pre = document.createElement("pre");
  const code = pre.appendChild(document.createElement("code"));
  const indent = /^\s*/.exec(lines[at])[0].length;
  let end = at + 1;
  while (end < lines.length && !/^\s*```+\s*$/.test(lines[end])) end += 1;
  const body = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, line.search(/\S|$/))));
  code.textContent = body.join("\n");
  whole.append(pre);
  return end + 1;
}

// Items of one depth; deeper ones stand indented in the same list.
function takeList(lines, at, whole) {
  const first = ITEM.exec(lines[at]);
  const list = document.createElement(first[3] === undefined ? "ul" : "ol");
  if (first[3] !== undefined) list.start = Number(first[3]);
  let end = at;
  for (let found; end < lines.length && (found = ITEM.exec(lines[end])); end += 1) {
    const item = inline("li", found[4]);
    if (found[1].length > first[1].length) item.className = "deeper";
    list.append(item);
  }
  whole.append(list);
  return end;
}

function takeParagraph(lines, at, whole) {
  let end = at + 1;
  const ends = (line) => !line.trim() || FENCE.test(line) || ITEM.test(line) || HEADING.test(line);
  while (end < lines.length && !ends(lines[end])) end += 1;
  whole.append(inline("p", lines.slice(at, end).join("\n")));
  return end;
}

function inline(name, text) {
  const node = document.createElement(name);
  let done = 0;
  for (const found of text.matchAll(INLINE)) {
    node.append(text.slice(done, found.index));
    const part = document.createElement(found[1] ? "code" : "strong");
    part.textContent = found[1] ? found[2] : found[3];
    node.append(part);
    done = found.index + found[0].length;
  }
  node.append(text.slice(done));
  return node;
}
