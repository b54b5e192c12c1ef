// One message as the current person sees it.

import { useContext, useState } from "preact/hooks";
import { Blocks, Scope, Text, useNames } from "./blocks.jsx";
import { Confirm } from "./dialogs.jsx";
import { clock, exact } from "./format.js";
import { Avatar, Icon } from "./icons.jsx";
import { post } from "./store.js";

export function Message({ message, me, onInspect, onThread, notify, marked, inThread }) {
  const { state } = useContext(Scope);
  const names = useNames();
  const name = names.people.get(message.user) ?? message.user;
  const bot = message.user === state.bot.id;
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(null);

  const press = async (ref, choice) => {
    setBusy(true);
    const answer = await post("press", { user: me, channel: message.channel, ts: message.ts, action: ref, choice });
    setBusy(false);
    if (answer.error) notify(answer.error);
  };
  const act = (element, choice, ref) => {
    if (/^https?:/.test(element.url ?? "")) open(element.url, "_blank", "noopener,noreferrer");
    if (element.confirm) setAsking({ confirm: element.confirm, style: element.style, go: () => press(ref, choice) });
    else press(ref, choice);
  };

  return (
    <article
      class={`message ${message.ephemeral ? "ephemeral" : ""} ${marked ? "marked" : ""}`}
      id={inThread ? undefined : `m-${message.ts}`}
      aria-busy={busy}
      aria-label={`${name}, ${clock(message.ts)}${message.ephemeral ? ", only visible to you" : ""}`}
    >
      <Avatar name={name} bot={bot} slackbot={message.user === "USLACKBOT"} />
      <div class="body">
        {message.ephemeral && <div class="only-you"><Icon name="eye" size={14} /> Only visible to you</div>}
        <header>
          <b>{name}</b>
          {bot && <span class="badge">APP</span>}
          <time title={exact(message.ts)} dateTime={new Date(Number(message.ts) * 1000).toISOString()}>{clock(message.ts)}</time>
          {message.edits > 0 && <span class="quiet" title={`updated ${message.edits} times`}>(edited)</span>}
        </header>
        <div class={`content ${busy ? "busy" : ""}`}>
          {message.blocks?.length ? <Blocks blocks={message.blocks} onAct={act} /> : <Text text={message.text} />}
          {message.files?.map((f) => <File key={f.id} file={f} />)}
        </div>
        {!inThread && message.replies > 0 && (
          <button type="button" class="replies" onClick={() => onThread(message.ts)}>
            {message.replies} {message.replies === 1 ? "reply" : "replies"}
          </button>
        )}
      </div>
      <Tools message={message} me={me} onInspect={onInspect} onThread={inThread ? null : onThread} notify={notify} name={name} />
      {asking && <Confirm {...asking} onClose={() => setAsking(null)} />}
    </article>
  );
}

function File({ file }) {
  if (!file.mimetype.startsWith("image/")) return <a class="file" href={file.url_private}>{file.title}</a>;
  return (
    <figure>
      <figcaption>{file.title}</figcaption>
      <img src={new URL(file.url_private).pathname} alt={file.alt_txt || file.title} />
    </figure>
  );
}

function Tools({ message, me, name, onInspect, onThread, notify }) {
  const remove = async () => {
    const answer = await post(message.ephemeral ? "dismiss" : "delete", { user: me, channel: message.channel, ts: message.ts });
    if (answer.error) notify(answer.error);
  };
  const removing = message.ephemeral ? "Dismiss" : "Delete as an administrator";
  return (
    <div class="tools" role="toolbar" aria-label={`Message of ${name}`}>
      {onThread && !message.ephemeral && (
        <button type="button" title="Open the thread" aria-label="Open the thread" onClick={() => onThread(message.ts)}><Icon name="thread" size={16} /></button>
      )}
      <button type="button" title="Show the JSON" aria-label="Show the JSON" onClick={() => onInspect(message)}><Icon name="code" size={16} /></button>
      <button type="button" title={removing} aria-label={removing} onClick={remove}>
        <Icon name={message.ephemeral ? "close" : "trash"} size={16} />
      </button>
    </div>
  );
}
