// The official Web API client against a simulated workspace. It runs what the
// test's first line of input describes, and prints one line of JSON: the names
// of the checks that passed, or the one that didn't.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { ErrorCode, WebClient } from "@slack/web-api";

const { api, token, channel, secret, person, gone, group, trigger } = JSON.parse(process.env.SIM);
const client = new WebClient(token, { slackApiUrl: api, retryConfig: { retries: 0 } });
const passed = [];

async function check(name, run) {
  try {
    await run();
  } catch (e) {
    console.log(JSON.stringify({ passed, failed: name, error: String(e.stack ?? e), data: e.data }));
    process.exit(1);
  }
  passed.push(name);
}

// refused demands Slack's error code.
async function refused(code, run) {
  await assert.rejects(run, (e) => {
    assert.equal(e.code, ErrorCode.PlatformError, e.message);
    assert.equal(e.data.error, code);
    return true;
  });
}

const section = (text) => ({ type: "section", text: { type: "mrkdwn", text } });
const plain = (text) => ({ type: "plain_text", text });

await check("auth.test", async () => {
  const who = await client.auth.test();
  assert.ok(who.ok && who.team_id.startsWith("T") && who.bot_id && who.user_id);
  assert.ok(who.response_metadata.scopes.includes("chat:write"));
});

let ts;
await check("chat.postMessage", async () => {
  const sent = await client.chat.postMessage({
    channel, text: "Switchover of orders", blocks: [section("*orders* <!date^1|x>")], unfurl_links: false,
    metadata: { event_type: "twokey_delivery", event_payload: { key: "request/1", seq: 7 } },
  });
  ts = sent.ts;
  assert.equal(sent.channel, channel);
  assert.equal(sent.message.blocks[0].text.text, "*orders* <!date^1|x>");
  assert.ok(sent.message.blocks[0].block_id);
});
await check("chat.update", async () => {
  const changed = await client.chat.update({ channel, ts, text: "1 of 2", blocks: [section("1 of 2")] });
  assert.equal(changed.ts, ts);
  assert.equal(changed.text, "1 of 2");
});
await check("a thread", async () => {
  await client.chat.postMessage({ channel, text: "in the thread", thread_ts: ts });
  const thread = await client.conversations.replies({ channel, ts });
  assert.deepEqual(thread.messages.map((m) => m.text), ["1 of 2", "in the thread"]);
});
await check("conversations.history, by pages", async () => {
  for (let i = 0; i < 5; i++) await client.chat.postMessage({ channel, text: `message ${i}` });
  const seen = [];
  for await (const page of client.paginate("conversations.history", { channel, limit: 2, include_all_metadata: true })) seen.push(...page.messages);
  assert.deepEqual(seen.map((m) => m.text), ["message 4", "message 3", "message 2", "message 1", "message 0", "1 of 2"]);
  assert.equal(seen.at(-1).metadata.event_payload.key, "request/1");
});
await check("chat.postEphemeral", async () => {
  const sent = await client.chat.postEphemeral({ channel, user: person, text: "only you" });
  assert.ok(sent.message_ts);
});
await check("chat.getPermalink", async () => {
  const { permalink } = await client.chat.getPermalink({ channel, message_ts: ts });
  assert.ok(permalink.includes(`/archives/${channel}/p`));
});
await check("chat.delete", async () => {
  const { ts: short } = await client.chat.postMessage({ channel, text: "not for long" });
  await client.chat.delete({ channel, ts: short });
  await refused("message_not_found", () => client.chat.delete({ channel, ts: short }));
});
await check("users.info", async () => {
  const { user } = await client.users.info({ user: person });
  assert.equal(user.id, person);
  assert.equal(user.is_restricted, false);
  const { user: left } = await client.users.info({ user: gone });
  assert.equal(left.deleted, true);
  assert.equal(left.is_restricted, undefined);
});
await check("usergroups.users.list", async () => {
  assert.deepEqual((await client.usergroups.users.list({ usergroup: group })).users, [person]);
  await refused("no_such_subteam", () => client.usergroups.users.list({ usergroup: "S0NOBODY01" }));
});
await check("conversations.info, members, open", async () => {
  assert.equal((await client.conversations.info({ channel })).channel.is_member, true);
  assert.ok((await client.conversations.members({ channel })).members.includes(person));
  assert.ok((await client.conversations.open({ users: person })).channel.id.startsWith("D"));
});
await check("filesUploadV2", async () => {
  const content = Buffer.from("89504e470d0a1a0a", "hex");
  const done = await client.filesUploadV2({
    channel_id: channel, initial_comment: "the last hour", file_uploads: [{ file: content, filename: "lag.png", title: "Lag" }],
  });
  const id = done.files[0].files[0].id;
  const { file } = await client.files.info({ file: id });
  assert.equal(file.size, content.length);
  assert.ok(file.shares.public[channel][0].ts);
});
await check("a file by hand, with its description", async () => {
  // The SDK calls the argument alt_text, Slack's reference alt_txt.
  const { upload_url: to, file_id: id } = await client.apiCall("files.getUploadURLExternal", { filename: "a.txt", length: 5, alt_txt: "five letters" });
  assert.equal((await fetch(to, { method: "POST", body: "hello" })).status, 200);
  await client.files.completeUploadExternal({ files: [{ id, title: "A" }] });
  assert.equal((await client.files.info({ file: id })).file.alt_txt, "five letters");
});
await check("views.open and views.update", async () => {
  const view = { type: "modal", callback_id: "deny", title: plain("Deny"), submit: plain("Deny it"), blocks: [
    { type: "input", block_id: "reason", label: plain("Why"), element: { type: "plain_text_input", action_id: "text" } },
  ] };
  const opened = await client.views.open({ trigger_id: trigger, view });
  assert.equal(opened.view.state.values.reason.text.type, "plain_text_input");
  const changed = await client.views.update({ view_id: opened.view.id, hash: opened.view.hash, view: { ...view, title: plain("Deny?") } });
  assert.equal(changed.view.title.text, "Deny?");
  await refused("hash_conflict", () => client.views.update({ view_id: opened.view.id, hash: opened.view.hash, view }));
  await refused("exchanged_trigger_id", () => client.views.open({ trigger_id: trigger, view }));
});
await check("views.publish", async () => {
  const { view } = await client.views.publish({ user_id: person, view: { type: "home", blocks: [section("*orders*")] } });
  assert.equal(view.type, "home");
});
await check("error codes", async () => {
  await refused("channel_not_found", () => client.chat.postMessage({ channel: "C0NOWHERE1", text: "x" }));
  await refused("no_text", () => client.chat.postMessage({ channel, text: "" }));
  await refused("invalid_blocks", () => client.chat.postMessage({ channel, text: "x", blocks: [section("x".repeat(3001))] }));
  await refused("msg_blocks_too_long", () => client.chat.postMessage({ channel, text: "x", blocks: Array(5).fill(section("x".repeat(2999))) }));
  await refused("user_not_found", () => client.users.info({ user: "U0NOBODY01" }));
  await refused("invalid_auth", () => new WebClient("xoxb-wrong", { slackApiUrl: api, retryConfig: { retries: 0 } }).auth.test());
  await assert.rejects(client.conversations.info({ channel: secret }), (e) => {
    assert.equal(e.data.error, "missing_scope");
    assert.equal(e.data.needed, "groups:read");
    assert.ok(e.data.provided.includes("chat:write"));
    return true;
  });
});
await check("a rate limit", async () => {
  const strict = new WebClient(token, { slackApiUrl: api, rejectRateLimitedCalls: true, retryConfig: { retries: 0 } });
  await assert.rejects(strict.bots.info({ bot: "B0TWOKEY01" }), (e) => {
    assert.equal(e.code, ErrorCode.RateLimitedError);
    assert.equal(e.retryAfter, 3);
    return true;
  });
});

console.log(JSON.stringify({ passed }));
