// The page's own drawings.

export function Keys({ size = 28 }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--brand)" />
      <g fill="none" stroke-width="2.6" stroke-linecap="round">
        <g stroke="#f2b84b">
          <circle cx="11" cy="11.5" r="4" />
          <path d="m14 14.5 9.5 9.5m-3-3 2.5-2.5" />
        </g>
        <g stroke="#e8f1f2">
          <circle cx="21" cy="11.5" r="4" />
          <path d="m18 14.5-9.5 9.5m3-3L9 18.5" />
        </g>
      </g>
    </svg>
  );
}

const hues = { oncall: 28, "dba-1": 200, "dba-2": 262, manager: 150, guest: 0 };

// hue is the same for the same name, everywhere.
const hue = (name) => hues[name] ?? [...name].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7);

const initials = (name) => {
  const [first, last] = name.split(/[-_ .]/);
  return (last ? first[0] + last[0] : name.slice(0, 2)).toUpperCase();
};

export function Avatar({ name, bot, slackbot, size = 36 }) {
  if (bot) return <Keys size={size} />;
  const style = { width: size, height: size, fontSize: size * 0.36, "--hue": hue(name) };
  return (
    <span class={`avatar ${slackbot ? "avatar-slackbot" : ""}`} style={style} aria-hidden="true">
      {slackbot ? "SB" : initials(name)}
    </span>
  );
}

const paths = {
  hash: "M9.5 4 7.5 20m9-16-2 16M4.5 9h16m-17 6h16",
  home: "m4 11 8-7 8 7v8.5H14.5V14h-5v5.5H4Z",
  chat: "M4.5 5h15v11h-9l-4 3.5V16h-2Z",
  code: "m8.5 7-5 5 5 5m7-10 5 5-5 5",
  thread: "M5 5h14v9H9l-4 4Z",
  trash: "M5 7h14M10 7V5h4v2m-7.5 0 1 12h9l1-12",
  close: "m6 6 12 12M18 6 6 18",
  send: "m4.5 12 15-7-4.5 15-3.5-6Zm7 1 8-8",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-5v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z",
  auto: "M12 4a8 8 0 1 0 0 16Zm0 0a8 8 0 0 1 0 16",
  eye: "M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6Zm9-2.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5Z",
};

export function Icon({ name, size = 18 }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
