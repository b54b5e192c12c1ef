// What opens beside the conversation: a thread, or the JSON of something.

import { useContext, useEffect, useState } from "preact/hooks";
import { Blocks, Scope } from "./blocks.jsx";
import { Icon } from "./icons.jsx";
import { Message } from "./message.jsx";
import { post, rawJSON } from "./store.js";

function Panel({ title, onClose, children }) {
  const key = (e) => e.key === "Escape" && onClose();
  return (
    <aside class="panel" aria-label={title} onKeyDown={key}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="bare" aria-label={`Close ${title}`} onClick={onClose}><Icon name="close" /></button>
      </header>
      {children}
    </aside>
  );
}

export function Thread({ channel, ts, onClose, ...rest }) {
  const { state } = useContext(Scope);
  const all = state.messages[channel] ?? [];
  const parent = all.find((m) => m.ts === ts);
  const replies = all.filter((m) => m.thread_ts === ts);
  return (
    <Panel title="Thread" onClose={onClose}>
      <div class="scroll" role="log" aria-label="Thread" tabIndex={0}>
        {parent ? <Message message={parent} inThread {...rest} /> : <p class="empty">This message was deleted.</p>}
        {replies.length > 0 && <div class="day"><span>{replies.length} {replies.length === 1 ? "reply" : "replies"}</span></div>}
        {replies.map((m) => <Message key={m.ts} message={m} inThread {...rest} />)}
      </div>
    </Panel>
  );
}

// Inspector shows what the Web API would give, fetched again at every change.
export function Inspector({ item, me, onClose, notify }) {
  const { state } = useContext(Scope);
  const [text, setText] = useState("");
  const query = item.ts ? { channel: item.channel, ts: item.ts, user: me } : { view: item.id };
  useEffect(() => {
    rawJSON(query).then(setText, (e) => setText(`// ${e.message}`));
  }, [state.version, JSON.stringify(query)]);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    notify("Copied");
  };
  return (
    <Panel title="Inspector" onClose={onClose}>
      <p class="about">
        {item.ts ? `ts ${item.ts} · by ${item.from} · ${item.edits} edits` : `view ${item.id} · ${item.updates} updates`}
        <button type="button" class="kit small" onClick={copy}>Copy</button>
      </p>
      <pre class="json" tabIndex={0} aria-label="JSON"><code><Colored text={text} /></code></pre>
    </Panel>
  );
}

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?/g;

function Colored({ text }) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(token)) {
    parts.push(text.slice(from, found.index));
    const kind = found[2] ? "k" : found[1] ? "s" : "n";
    parts.push(<span class={kind}>{found[1] ?? found[0]}</span>, found[2] ?? "");
    from = found.index + found[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}

export function Home({ me, notify }) {
  const { state } = useContext(Scope);
  useEffect(() => {
    post("home", { user: me }).then((answer) => answer.error && notify(answer.error));
  }, [me]);
  const act = async (element, choice, ref) => {
    const answer = await post("press", { user: me, view: state.home.id, action: ref, choice });
    if (answer.error) notify(answer.error);
  };
  return (
    <div class="home scroll" tabIndex={0}>
      {state.home ? <Blocks blocks={state.home.blocks} onAct={act} /> : <p class="empty">The app has published nothing here yet.</p>}
    </div>
  );
}
