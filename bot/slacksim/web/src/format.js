// Texts and times.

export const millis = (ts) => Number(ts) * 1000;

export const clock = (ts) =>
  new Date(millis(ts)).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

export const exact = (ts) => new Date(millis(ts)).toLocaleString([], { dateStyle: "full", timeStyle: "medium" });

export function day(ts) {
  const date = new Date(millis(ts));
  if (date.toDateString() === new Date().toDateString()) return "Today";
  return date.toLocaleDateString([], { weekday: "long", month: "long", day: "numeric" });
}

export const compareTS = (a, b) => {
  const [as, af] = a.split(".");
  const [bs, bf] = b.split(".");
  return Number(as) - Number(bs) || Number(af) - Number(bf);
};

const pad = (n) => String(n).padStart(2, "0");

// slackDate fills Slack's date format in the reader's own time zone.
export function slackDate(timestamp, format, fallback) {
  const d = new Date(Number(timestamp) * 1000);
  if (Number.isNaN(d.getTime())) return fallback;
  const date = (options) => d.toLocaleDateString([], options);
  const today = d.toDateString() === new Date().toDateString();
  const pretty = (text) => (today ? "today" : text);
  const tokens = {
    date_num: `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`,
    date: date({ dateStyle: "long" }),
    date_short: date({ dateStyle: "medium" }),
    date_long: date({ dateStyle: "full" }),
    date_pretty: pretty(date({ dateStyle: "long" })),
    date_short_pretty: pretty(date({ dateStyle: "medium" })),
    date_long_pretty: pretty(date({ dateStyle: "full" })),
    time: d.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
    time_secs: d.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    ago: ago(d),
  };
  return format.replace(/\{(\w+)\}/g, (whole, name) => tokens[name] ?? whole);
}

function ago(d) {
  const seconds = Math.round((d.getTime() - Date.now()) / 1000);
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units[3];
  return new Intl.RelativeTimeFormat([], { numeric: "auto" }).format(Math.round(seconds / size), unit);
}
