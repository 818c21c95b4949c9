// Every scene with the official `@anthropic-ai/sdk`.

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const { FIRSTPASS_BASE_URL, FIRSTPASS_KEY: apiKey } = process.env;
const baseURL = FIRSTPASS_BASE_URL.replace(/\/v1$/, "");
const client = new Anthropic({ baseURL, apiKey });
const impatient = new Anthropic({ baseURL, authToken: apiKey, maxRetries: 0 });
const input_schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = { name: "weather", input_schema };
const user = (content) => [{ role: "user", content }];
const said = (message) => ({ role: "assistant", content: message.content });
const now = () => Date.now() / 1000;
const ask = (content, more = {}) => ({ model: "local", max_tokens: 200, messages: user(content), ...more });
const callsOf = (message) =>
  message.content.filter((block) => block.type === "tool_use").map((block) => [block.name, block.input]);
const counted = (usage) => [usage.input_tokens, usage.output_tokens];

async function chat() {
  const answer = await client.messages.create(ask("hello"));
  return { text: answer.content[0].text, usage: counted(answer.usage) };
}

async function stream() {
  const texts = [];
  const events = client.messages.stream(ask("hello")).on("text", (text) => texts.push(text));
  const answer = await events.finalMessage();
  return { text: texts.join(""), pieces: texts.length, usage: counted(answer.usage) };
}

async function thought() {
  const whole = await client.messages.create(ask("think"));
  const pieces = [];
  const streamed = await client.messages
    .stream(ask("think"))
    .on("thinking", (piece) => pieces.push(piece))
    .finalMessage();
  const turns = [...user("think"), said(whole), ...user("so?")];
  const again = await client.messages.create(ask("", { messages: turns }));
  const blocks = [whole, streamed, again].map((message) => message.content.map((block) => block.type));
  return { blocks, thoughts: [whole.content[0].thinking, pieces.join("")] };
}

async function tools() {
  const asked = ask("weather?", { tools: [tool] });
  const message = await client.messages.create(asked);
  const call = message.content.find((block) => block.type === "tool_use");
  const result = { type: "tool_result", tool_use_id: call.id, content: "rain" };
  const turns = [...asked.messages, said(message), { role: "user", content: [result] }];
  const answer = await client.messages.create({ ...asked, messages: turns });
  return { calls: callsOf(message), after: answer.content[0].text };
}

async function streamedTools() {
  return { calls: callsOf(await client.messages.stream(ask("weather?", { tools: [tool] })).finalMessage()) };
}

async function structured() {
  const format = zodOutputFormat(z.object({ city: z.string(), degrees: z.number() }));
  return (await client.messages.parse(ask("weather?", { output_config: { format } }))).parsed_output;
}

async function models() {
  const names = [];
  for await (const model of client.models.list({ limit: 1 })) names.push(model.id);
  return names;
}

async function failing(changed = {}, fails = impatient) {
  try {
    await fails.messages.create(ask("hello", changed));
  } catch (error) {
    return { error: error.constructor.name, status: error.status, message: error.message };
  }
  return "no error";
}

async function leave(content, more) {
  const leaving = new AbortController();
  const asked = client.messages.create(ask(content, more), { signal: leaving.signal });
  setTimeout(() => leaving.abort(), 500);
  try {
    for await (const _ of await asked);
  } catch (error) {
    return { left: now(), error: error.constructor.name };
  }
  return { left: now() };
}

async function crowded() {
  const holding = [client.messages.stream(ask("hold")), client.messages.stream(ask("hold"))];
  for (const held of holding) await new Promise((begun) => held.once("text", begun));
  const error = await failing();
  for (const held of holding) {
    held.on("abort", () => {});
    held.abort();
  }
  return error;
}

const scenes = {
  chat: await chat(),
  stream: await stream(),
  thought: await thought(),
  tools: await tools(),
  streamed_tools: await streamedTools(),
  structured: await structured(),
  counted: (await client.messages.countTokens({ model: "local", messages: user("hello") })).input_tokens,
  models: await models(),
  bad: await failing({ max_tokens: 0 }),
  unknown_key: await failing({}, new Anthropic({ baseURL, apiKey: "no", maxRetries: 0 })),
  unknown_model: await failing({ model: "gpt-9" }),
  broken: await failing({ messages: user("broken") }),
  retried: { text: (await client.messages.create(ask("busy"))).content[0].text },
  left_before_the_first_token: await leave("silent"),
  left_in_the_middle: await leave("hold", { stream: true }),
  crowded: await crowded(),
};
console.log(JSON.stringify(scenes));
