// A conversation: its messages, and the composer.

import { useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Scope } from "./blocks.jsx";
import { compareTS, day } from "./format.js";
import { Icon } from "./icons.jsx";
import { Message } from "./message.jsx";
import { post } from "./store.js";

export function useTimeline(state, channelID) {
  return useMemo(() => {
    const said = (state.messages[channelID] ?? []).filter((m) => !m.thread_ts || m.broadcast);
    const whispered = state.ephemerals.filter((m) => m.channel === channelID && !m.thread_ts);
    return [...said, ...whispered].sort((a, b) => compareTS(a.ts, b.ts));
  }, [state, channelID]);
}

export function Channel({ channel, me, marked, onInspect, onThread, notify }) {
  const { state } = useContext(Scope);
  const timeline = useTimeline(state, channel.id);
  return (
    <>
      <Timeline messages={timeline} marked={marked} label={channel.name ? `Messages in #${channel.name}` : "Messages"}
        empty={channel.direct ? "The app can write to you here." : "Nothing was said yet. Try a command below."}
        me={me} onInspect={onInspect} onThread={onThread} notify={notify} />
      {!channel.direct && <Composer channel={channel} me={me} notify={notify} />}
    </>
  );
}

// Timeline keeps to the end as messages come, unless somebody scrolled away.
function Timeline({ messages, marked, label, empty, ...rest }) {
  const box = useRef(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (atEnd.current && !marked) box.current.scrollTop = box.current.scrollHeight;
  });
  useEffect(() => {
    const list = box.current; // the observer may fire once more after the list is gone
    const stick = new ResizeObserver(() => {
      if (atEnd.current && !marked) list.scrollTop = list.scrollHeight;
    });
    stick.observe(list);
    return () => stick.disconnect();
  }, [marked]);
  useEffect(() => {
    if (marked) document.getElementById(`m-${marked}`)?.scrollIntoView({ block: "center" });
  }, [marked, messages.length > 0]);
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    atEnd.current = scrollTop + clientHeight > scrollHeight - 40;
  };
  let last = "";
  return (
    <div class="timeline" ref={box} onScroll={scrolled} role="log" aria-live="polite" aria-label={label} tabIndex={0}>
      {messages.length === 0 && <p class="empty">{empty}</p>}
      {messages.map((m) => {
        const today = day(m.ts);
        const heading = today !== last && <div class="day"><span>{today}</span></div>;
        last = today;
        return [heading, <Message key={m.ts} message={m} marked={m.ts === marked} {...rest} />];
      })}
    </div>
  );
}

function Composer({ channel, me, notify }) {
  const { state } = useContext(Scope);
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const typed = useRef({ lines: [], at: 0 });
  const field = useRef(null);

  const send = async (line) => {
    const said = line.trim();
    if (!said) return;
    typed.current.lines.push(said);
    typed.current.at = typed.current.lines.length;
    setText("");
    setBusy(true);
    const answer = await post("send", { user: me, channel: channel.id, text: said });
    setBusy(false);
    if (answer.error) notify(answer.error);
    field.current?.focus();
  };
  const recall = (step) => {
    const t = typed.current;
    t.at = Math.min(Math.max(t.at + step, 0), t.lines.length);
    setText(t.lines[t.at] ?? "");
  };
  const key = (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      send(text);
    } else if (e.key === "ArrowUp" && !text.includes("\n") && e.currentTarget.selectionStart === 0) recall(-1);
    else if (e.key === "ArrowDown" && !text.includes("\n") && typed.current.at < typed.current.lines.length) recall(1);
  };
  const hints = state.commands.filter((c) => text.startsWith("/") && !text.includes("\n") && c.name.startsWith(text.split(" ")[0]));
  const examples = state.commands.flatMap((c) => c.examples);

  return (
    <form class="composer" onSubmit={(e) => { e.preventDefault(); send(text); }}>
      {hints.length > 0 && (
        <div class="hints" role="status">
          {hints.map((c) => <p key={c.name}><b>{c.name}</b> <code>{c.hint}</code> <span class="quiet">{c.description}</span></p>)}
        </div>
      )}
      <div class="line">
        <textarea ref={field} rows={1} value={text} onInput={(e) => setText(e.currentTarget.value)} onKeyDown={key}
          placeholder={`Message #${channel.name}, or a command such as ${examples[0] ?? "/pg"}`} aria-label={`Message #${channel.name}`} />
        <button type="submit" class="send" disabled={busy || !text.trim()} aria-label="Send"><Icon name="send" /></button>
      </div>
      <div class="examples" role="group" aria-label="Commands to try">
        {examples.map((line) => <button type="button" key={line} onClick={() => send(line)} disabled={busy}>{line}</button>)}
      </div>
    </form>
  );
}
