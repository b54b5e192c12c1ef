// The official Socket Mode client as an app. It tells on its output, one line of
// JSON each, what it got, and acknowledges commands with what its input says.

import { createInterface } from "node:readline";
import { LogLevel, SocketModeClient } from "@slack/socket-mode";

const { api, appToken, answer } = JSON.parse(process.env.SIM);
const client = new SocketModeClient({ appToken, logLevel: LogLevel.ERROR, clientOptions: { slackApiUrl: api } });
const tell = (what) => console.log(JSON.stringify(what));

client.on("connected", () => tell({ got: "connected" }));
client.on("slash_commands", async ({ ack, body }) => {
  await ack({ text: answer });
  tell({ got: "slash_commands", text: body.text, user: body.user_id });
});
client.on("interactive", async ({ ack, body }) => {
  await ack(body.type === "view_submission" ? { response_action: "errors", errors: { reason: "say more" } } : undefined);
  tell({ got: "interactive", type: body.type, action: body.actions?.[0]?.action_id });
});
client.on("app_home_opened", async ({ ack, event, retry_num: retry }) => {
  await ack();
  tell({ got: "app_home_opened", user: event.user, retry });
});

// The test says "stop" when it has seen enough.
createInterface({ input: process.stdin }).on("line", async (line) => {
  if (line !== "stop") return;
  await client.disconnect();
  process.exit(0);
});

await client.start();
