// Slack's mrkdwn, turned into Slack's own rich text. The rendering library would
// parse mrkdwn as Markdown and, on the way, make emoji of times (10:30:45),
// double asterisks inside code and let escaped angle brackets become mentions.
// Rich text leaves it nothing to guess.

const entities = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };
const unescape = (text) => text.replace(/&(?:amp|lt|gt);/g, (e) => entities[e]);

const styles = { "*": "bold", _: "italic", "~": "strike" };
const wordy = /[\p{L}\p{N}]/u;

// richText turns mrkdwn into the elements of a rich_text block. isEmoji says
// which :names: there are.
export function richText(mrkdwn, isEmoji = () => true) {
  const elements = [];
  mrkdwn.split(/```/).forEach((part, i, parts) => {
    const closed = i < parts.length - 1;
    if (i % 2 === 1 && closed) elements.push({ type: "rich_text_preformatted", elements: [text(trimNewlines(part))] });
    else lines(i % 2 === 1 ? "```" + part : part, elements, isEmoji);
  });
  return elements;
}

// plainText makes one section of a plain_text object: only emoji are special.
export function plainText(value, isEmoji = () => true) {
  return [section(emoji(value, {}, isEmoji))];
}

const trimNewlines = (s) => s.replace(/^\n|\n$/g, "");
const text = (value, style = {}) => {
  const leaf = { type: "text", text: unescape(value) };
  return Object.keys(style).length ? { ...leaf, style } : leaf;
};
const section = (elements) => ({ type: "rich_text_section", elements });

// lines gathers runs of quoted and of plain lines.
function lines(part, into, isEmoji) {
  let quoted = null;
  let run = [];
  const flush = () => {
    const body = run.join("\n");
    run = [];
    if (!quoted && (into.length ? trimNewlines(body) : body) === "") return;
    const elements = inline(quoted ? body : into.length ? trimNewlines(body) : body, {}, isEmoji);
    into.push(quoted ? { type: "rich_text_quote", elements } : section(elements));
  };
  for (const line of part.split("\n")) {
    const quote = line.match(/^(?:>|&gt;)\s?(.*)$/s);
    if (quoted !== null && quoted !== Boolean(quote)) flush();
    quoted = Boolean(quote);
    run.push(quote ? quote[1] : line);
  }
  flush();
}

// inline parses one run: code first, then markup, then emphasis, then emoji.
function inline(source, style, isEmoji) {
  const out = [];
  let rest = source;
  while (rest) {
    const found = nextToken(rest, source.length - rest.length > 0 ? source[source.length - rest.length - 1] : "");
    if (!found) break;
    out.push(...emoji(rest.slice(0, found.at), style, isEmoji), ...found.elements(style, isEmoji));
    rest = rest.slice(found.at + found.length);
  }
  return [...out, ...emoji(rest, style, isEmoji)];
}

function nextToken(rest, before) {
  for (let at = 0; at < rest.length; at++) {
    const previous = at ? rest[at - 1] : before;
    const token = tokenAt(rest, at, previous);
    if (token) return { at, ...token };
  }
  return null;
}

function tokenAt(rest, at, previous) {
  const c = rest[at];
  if (c === "`") {
    const end = rest.indexOf("`", at + 1);
    const body = rest.slice(at + 1, end);
    if (end > at + 1 && !body.includes("\n")) {
      return { length: end - at + 1, elements: (style) => code(body, style) };
    }
  } else if (c === "<") {
    const body = rest.slice(at + 1).match(/^([^<>\n]+)>/)?.[1];
    const element = body && markup(body);
    if (element) return { length: body.length + 2, elements: (style) => [{ ...element, style: { ...style } }] };
  } else if (styles[c] && !wordy.test(previous) && previous !== c) {
    const end = closing(rest, at, c);
    if (end) {
      const body = rest.slice(at + 1, end);
      return { length: end - at + 1, elements: (style, isEmoji) => inline(body, { ...style, [styles[c]]: true }, isEmoji) };
    }
  }
  return null;
}

// closing finds the sign that ends an emphasis on the same line: after a
// character that isn't a space, before one that isn't part of a word.
function closing(rest, at, sign) {
  if (/\s/.test(rest[at + 1] ?? " ")) return 0;
  for (let end = at + 2; end < rest.length && rest[end] !== "\n"; end++) {
    if (rest[end] === "`") {
      const code = rest.indexOf("`", end + 1);
      if (code > 0) end = code;
      continue;
    }
    if (rest[end] !== sign || /\s/.test(rest[end - 1]) || rest[end - 1] === sign) continue;
    const next = rest[end + 1] ?? "";
    if (!wordy.test(next) && next !== sign) return end;
  }
  return 0;
}

// code keeps its text; a link or mention inside still shows as what it names.
const code = (body, style) => [text(body.replace(/<(?:https?:[^<>|]+\|)?([^<>|]+)>/g, "$1"), { ...style, code: true })];

// markup reads what stands between < and >.
function markup(body) {
  const [target, label] = cut(body, "|");
  const name = (n) => target.slice(n);
  if (target.startsWith("@")) return { type: "user", user_id: name(1) };
  if (target.startsWith("#")) return { type: "channel", channel_id: name(1) };
  if (target.startsWith("!subteam^")) return { type: "usergroup", usergroup_id: name(9) };
  if (/^!(here|channel|everyone)$/.test(target)) return { type: "broadcast", range: name(1) };
  if (target.startsWith("!date^")) {
    const [, timestamp, format, url] = target.split("^");
    return { type: "date", timestamp: Number(timestamp), format: unescape(format ?? ""), fallback: unescape(label ?? ""), url };
  }
  if (/^(https?|mailto|tel|postgresql):/.test(target)) {
    return { type: "link", url: unescape(target), text: unescape(label ?? target.replace(/^mailto:/, "")) };
  }
  return null;
}

function cut(s, separator) {
  const at = s.indexOf(separator);
  return at < 0 ? [s] : [s.slice(0, at), s.slice(at + 1)];
}

// The names that Slack has and the list behind isEmoji lacks.
const slackNames = { double_vertical_bar: "⏸️", large_green_circle: "🟢", large_yellow_circle: "🟡", large_orange_circle: "🟠" };

// emoji splits a text at the :names: that exist.
function emoji(source, style, isEmoji) {
  const out = [];
  let from = 0;
  for (const found of source.matchAll(/:([a-z0-9_+'-]+):/g)) {
    const sign = slackNames[found[1]];
    if (found.index < from || !(sign || isEmoji(found[1]))) continue;
    if (found.index > from) out.push(text(source.slice(from, found.index), style));
    out.push(sign ? text(sign, style) : { type: "emoji", name: found[1] });
    from = found.index + found[0].length;
  }
  if (from < source.length) out.push(text(source.slice(from), style));
  return out;
}
