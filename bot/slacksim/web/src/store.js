// What the page knows: the workspace as the chosen person sees it, fetched
// again whenever the server says that something changed.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export async function post(action, body) {
  const response = await fetch(`/sim/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.headers.get("Content-Type")?.startsWith("application/json")) return JSON.parse(text);
  return { error: text.trim() || `the simulator answered ${response.status}` };
}

export async function rawJSON(params) {
  const response = await fetch("/sim/json?" + new URLSearchParams(params));
  if (!response.ok) throw new Error("this message is gone");
  return JSON.stringify(await response.json(), null, 2);
}

// useWorkspace returns the state for a person and whether the page is connected.
export function useWorkspace(user) {
  const [state, setState] = useState(null);
  const [online, setOnline] = useState(true);
  const busy = useRef(false);
  const again = useRef(false);

  const load = useCallback(async () => {
    again.current = true;
    if (busy.current) return;
    busy.current = true;
    try {
      while (again.current) {
        again.current = false;
        const response = await fetch("/sim/state?" + new URLSearchParams({ user }));
        setState(await response.json());
        setOnline(true);
      }
    } catch {
      setOnline(false);
    } finally {
      busy.current = false;
    }
  }, [user]);

  useEffect(() => {
    load();
    const events = new EventSource("/sim/events");
    events.onmessage = load;
    events.onerror = () => setOnline(false);
    return () => events.close();
  }, [load]);

  return [state?.me === user ? state : null, online];
}

// usePlace keeps who and where in the address, so that two windows can be two
// people and a permalink leads to its message.
export function usePlace() {
  const read = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const [place, setPlace] = useState(read);
  useEffect(() => {
    const changed = () => setPlace(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const go = useCallback((change) => {
    const next = { ...read(), ...change };
    for (const key of Object.keys(next)) if (!next[key]) delete next[key];
    location.hash = new URLSearchParams(next).toString();
  }, []);
  return [place, go];
}

export function useTheme() {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? "auto");
  const [dark, setDark] = useState(matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  const shown = theme === "auto" ? (dark ? "dark" : "light") : theme;
  useEffect(() => {
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = shown;
  }, [theme, shown]);
  return [theme, setTheme, shown];
}
