// The page: banner, sidebar, the conversation, what opens beside it.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Scope } from "./blocks.jsx";
import { Channel } from "./channel.jsx";
import { Modal } from "./dialogs.jsx";
import { Home, Inspector, Thread } from "./panels.jsx";
import { Banner, Sidebar } from "./sidebar.jsx";
import { usePlace, useTheme, useWorkspace } from "./store.js";

// remembered is who this window was last; the server's first account at first.
function useMe(place) {
  const [first, setFirst] = useState(() => sessionStorage.getItem("me") ?? "");
  const me = place.as ?? first;
  useEffect(() => {
    if (me) sessionStorage.setItem("me", me);
    else fetch("/sim/state").then((r) => r.json()).then((s) => setFirst(s.accounts[0].id));
  }, [me]);
  return me;
}

export function App() {
  const [place, go] = usePlace();
  const [theme, setTheme, shown] = useTheme();
  const me = useMe(place);
  const [state, online] = useWorkspace(me);
  const scope = useMemo(() => ({ state, theme: shown }), [state, shown]);
  useShortcuts(state, go);
  return (
    <div class="page">
      <Banner state={state} online={online} theme={theme} setTheme={setTheme} />
      {state && (
        <Scope.Provider value={scope}>
          <Workspace state={state} me={me} place={place} go={go} />
        </Scope.Provider>
      )}
    </div>
  );
}

function useShortcuts(state, go) {
  useEffect(() => {
    const pressed = (e) => {
      const account = e.altKey && /^Digit[1-9]$/.test(e.code) && state?.accounts[Number(e.code.slice(5)) - 1];
      if (!account) return;
      e.preventDefault();
      go({ as: account.id, thread: "" });
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [state, go]);
}

function Workspace({ state, me, place, go }) {
  const [inspected, setInspected] = useState(null);
  const [notice, notify] = useNotice();
  const where = place.channel ?? state.channels.find((c) => !c.direct)?.id ?? "home";
  const channel = state.channels.find((c) => c.id === where);
  const modal = state.modals.at(-1);
  const shared = { me, onInspect: setInspected, onThread: (thread) => go({ thread }), notify };
  const title = where === "home" ? "App Home" : channel?.direct ? "Messages from the app" : channel && "#" + channel.name;
  useEffect(() => {
    document.title = `${title ?? "nowhere"} · simulated Slack workspace`;
  }, [title]);
  return (
    <div class="columns">
      <Sidebar me={me} where={where} go={go} />
      <main aria-label={title}>
        <header class="head">
          <h1>{title ?? "No such channel for this account"}</h1>
          {channel?.topic && <p class="quiet">{channel.topic}</p>}
        </header>
        {where === "home" && <Home me={me} notify={notify} key={me} />}
        {channel && <Channel key={channel.id} channel={channel} marked={place.message} {...shared} />}
        {!channel && where !== "home" && <p class="empty">This account isn't in that channel. Choose another on the left.</p>}
      </main>
      {inspected ? (
        <Inspector item={current(state, inspected)} me={me} notify={notify} onClose={() => setInspected(null)} />
      ) : (
        place.thread && channel && <Thread channel={channel.id} ts={place.thread} onClose={() => go({ thread: "" })} {...shared} />
      )}
      {modal && <Modal key={modal.id} view={modal} me={me} notify={notify} onInspect={setInspected} />}
      <div class="toast" role="status" aria-live="polite">{notice && <p>{notice}</p>}</div>
    </div>
  );
}

// current is the newest form of what is being inspected.
function current(state, item) {
  if (!item.ts) return [...state.modals, state.home].find((v) => v?.id === item.id) ?? item;
  const all = [...(state.messages[item.channel] ?? []), ...state.ephemerals];
  return all.find((m) => m.ts === item.ts) ?? item;
}

function useNotice() {
  const [notice, setNotice] = useState("");
  const timer = useRef(0);
  const notify = useCallback((text) => {
    clearTimeout(timer.current);
    setNotice(text);
    timer.current = setTimeout(() => setNotice(""), 6000);
  }, []);
  return [notice, notify];
}
