// Who I am, and where.

import { useContext } from "preact/hooks";
import { Scope } from "./blocks.jsx";
import { Avatar, Icon, Keys } from "./icons.jsx";

export function Sidebar({ me, where, go }) {
  const { state } = useContext(Scope);
  const channels = state.channels.filter((c) => !c.direct);
  const direct = state.channels.find((c) => c.direct);
  const item = (id, icon, label) => (
    <li key={id}>
      <button type="button" class="place" aria-current={where === id ? "page" : undefined} onClick={() => go({ channel: id, message: "", thread: "" })}>
        <Icon name={icon} /> {label}
      </button>
    </li>
  );
  return (
    <nav class="sidebar" aria-label="Workspace">
      <h2>Channels</h2>
      <ul>{channels.map((c) => item(c.id, "hash", c.name))}</ul>
      <h2>App</h2>
      <ul>
        {item("home", "home", "App Home")}
        {direct && item(direct.id, "chat", "Messages from the app")}
      </ul>
      <h2 id="you-are">You are</h2>
      <div role="radiogroup" aria-labelledby="you-are" class="people">
        {state.accounts.map((a, i) => (
          <Person key={a.id} account={a} team={state.team} me={me} shortcut={i + 1} waiting={state.waiting[a.id]} onPick={() => go({ as: a.id, thread: "" })} />
        ))}
      </div>
      <p class="quiet foot">Alt+1 … {state.accounts.length} switches. Open a second window to be two people at once.</p>
    </nav>
  );
}

function Person({ account, me, onPick, shortcut, waiting }) {
  const tags = [
    account.deleted && "deactivated",
    account.ultra_restricted ? "single-channel guest" : account.restricted && "guest",
    account.bot && "bot",
  ].filter(Boolean);
  return (
    <label class={`person ${account.deleted ? "gone" : ""}`} title={`Alt+${shortcut}`}>
      <input type="radio" name="me" checked={account.id === me} onChange={onPick} />
      <Avatar name={account.name} size={30} />
      <span class="who">
        <b>{account.name}</b>
        <small>{tags.length ? tags.join(", ") : account.real_name}</small>
      </span>
      {waiting > 0 && <span class="dot" role="img" title="has a dialog open" aria-label="has a dialog open" />}
    </label>
  );
}

const themes = { auto: "light", light: "dark", dark: "auto" };
const themeIcons = { auto: "auto", light: "sun", dark: "moon" };

export function Banner({ state, online, theme, setTheme }) {
  return (
    <header class="banner">
      <Keys size={30} />
      <strong>{state?.bot.name ?? "twokey"}</strong>
      <span class="simulated">simulated Slack workspace</span>
      <span class="quiet grow">Nothing here leaves this machine. The people are made up; the app and its databases are real.</span>
      <span class={`link ${online ? "on" : "off"}`} role="status">
        {online ? (state?.transport === "socket" ? `Socket Mode, ${state.connections} connected` : "live") : "reconnecting…"}
      </span>
      <button type="button" class="bare" title={`Theme: ${theme}`} aria-label={`Theme: ${theme}. Switch`} onClick={() => setTheme(themes[theme])}>
        <Icon name={themeIcons[theme]} />
      </button>
    </header>
  );
}
