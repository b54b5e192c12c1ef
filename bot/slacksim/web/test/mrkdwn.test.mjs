import assert from "node:assert/strict";
import { test } from "node:test";
import { plainText, richText } from "../src/mrkdwn.js";

const known = (name) => ["x", "white_check_mark"].includes(name);
const t = (text, ...styles) =>
  styles.length ? { type: "text", text, style: Object.fromEntries(styles.map((s) => [s, true])) } : { type: "text", text };
const one = (mrkdwn) => richText(mrkdwn, known)[0].elements;

const rows = [
  ["a time isn't an emoji", "at 10:30:45 sharp", [t("at 10:30:45 sharp")]],
  ["an emoji is one", "done :x:", [t("done "), { type: "emoji", name: "x" }]],
  ["an emoji that only Slack calls so is its sign", ":large_green_circle: well", [t("🟢"), t(" well")]],
  ["emphasis needs a word's edges", "a*b*c, count(*) and snake_case_name", [t("a*b*c, count(*) and snake_case_name")]],
  ["emphasis in all three kinds", "*b* _i_ ~s~", [t("b", "bold"), t(" "), t("i", "italic"), t(" "), t("s", "strike")]],
  ["emphasis inside emphasis", "*b _bi_*", [t("b ", "bold"), t("bi", "bold", "italic")]],
  ["two approximations aren't struck out", "~300 ms, then ~400 ms", [t("~300 ms, then ~400 ms")]],
  ["code keeps its signs", "`a*b*c ~x~` *b*", [t("a*b*c ~x~", "code"), t(" "), t("b", "bold")]],
  ["a star inside code doesn't end emphasis", "*see `a*` now*", [t("see ", "bold"), t("a*", "bold", "code"), t(" now", "bold")]],
  ["what was escaped stays text", "&lt;!channel&gt; &amp;lt;", [t("<!channel> &lt;")]],
  ["a mention is one", "<@U1> in <#C1|ops>", [
    { type: "user", user_id: "U1", style: {} }, t(" in "), { type: "channel", channel_id: "C1", style: {} },
  ]],
  ["a broadcast is one", "<!channel>", [{ type: "broadcast", range: "channel", style: {} }]],
  ["a link keeps its query", "<https://x.example/?a=1&amp;b=2|here>", [
    { type: "link", url: "https://x.example/?a=1&b=2", text: "here", style: {} },
  ]],
  ["a link that would run script is text", "<javascript:alert(1)|x>", [t("<javascript:alert(1)|x>")]],
  ["a date has a format and a fallback", "<!date^1700000000^{date} at {time}|then>", [
    { type: "date", timestamp: 1700000000, format: "{date} at {time}", fallback: "then", url: undefined, style: {} },
  ]],
];

for (const [name, mrkdwn, want] of rows) test(name, () => assert.deepEqual(one(mrkdwn), want));

test("fences make preformatted blocks and lose their own newlines", () => {
  assert.deepEqual(richText("a\n```x *y*\n1:2:3```\nb", known), [
    { type: "rich_text_section", elements: [t("a\n")] },
    { type: "rich_text_preformatted", elements: [t("x *y*\n1:2:3")] },
    { type: "rich_text_section", elements: [t("b")] },
  ]);
});

test("an open fence is text", () => {
  assert.deepEqual(richText("a ``` b", known)[1].elements, [t("``` b")]);
});

test("quoted lines make quotes", () => {
  assert.deepEqual(richText("&gt; a\n> b\nc", known), [
    { type: "rich_text_quote", elements: [t("a\nb")] },
    { type: "rich_text_section", elements: [t("c")] },
  ]);
});

test("plain text has no markup", () => {
  assert.deepEqual(plainText("*b* <@U1> :x:", known)[0].elements, [t("*b* <@U1> "), { type: "emoji", name: "x" }]);
});

test("hostile input comes back whole and in good time", () => {
  for (const sign of ["*", "_", "~", "`", "<", ":", "```", "&gt;"]) {
    const started = performance.now();
    richText(sign.repeat(1500) + " a".repeat(700), known);
    assert.ok(performance.now() - started < 2000, sign);
  }
});
