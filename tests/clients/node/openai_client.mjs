// Every scene with the official `openai` package for Node.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { FIRSTPASS_BASE_URL: baseURL, FIRSTPASS_KEY: apiKey } = process.env;
const client = new OpenAI({ baseURL, apiKey });
const impatient = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = { type: "function", function: { name: "weather", parameters } };
const user = (content) => [{ role: "user", content }];
const now = () => Date.now() / 1000;
const ask = (content, more = {}) => ({ model: "local", messages: user(content), ...more });
const callsOf = (message) =>
  (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
const counted = (usage) => [usage.prompt_tokens, usage.completion_tokens];

async function chat() {
  const answer = await client.chat.completions.create(ask("hello"));
  return { text: answer.choices[0].message.content, usage: counted(answer.usage) };
}

async function stream() {
  const texts = [];
  let usage;
  const asked = ask("hello", { stream: true, stream_options: { include_usage: true } });
  for await (const chunk of await client.chat.completions.create(asked)) {
    for (const choice of chunk.choices) if (choice.delta.content) texts.push(choice.delta.content);
    usage = chunk.usage ?? usage;
  }
  return { text: texts.join(""), pieces: texts.length, usage: counted(usage) };
}

async function tools() {
  const asked = ask("weather?", { tools: [tool] });
  const message = (await client.chat.completions.create(asked)).choices[0].message;
  const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "rain" };
  const again = { ...asked, messages: [...asked.messages, message, result] };
  const answer = await client.chat.completions.create(again);
  return { calls: callsOf(message), after: answer.choices[0].message.content };
}

async function streamedTools() {
  const events = client.chat.completions.stream(ask("weather?", { tools: [tool] }));
  return { calls: callsOf((await events.finalChatCompletion()).choices[0].message) };
}

async function structured() {
  const form = zodResponseFormat(z.object({ city: z.string(), degrees: z.number() }), "weather");
  const answer = await client.chat.completions.parse(ask("weather?", { response_format: form }));
  return answer.choices[0].message.parsed;
}

async function embedding() {
  return (await client.embeddings.create({ model: "local", input: ["a", "b"] })).data[1].embedding;
}

async function models() {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  return names;
}

async function failing(changed = {}, fails = impatient) {
  try {
    await fails.chat.completions.create(ask("hello", changed));
  } catch (error) {
    return { error: error.constructor.name, status: error.status, message: error.message };
  }
  return "no error";
}

async function hold() {
  const held = await client.chat.completions.create(ask("hold", { stream: true }));
  await held[Symbol.asyncIterator]().next();
  return held;
}

async function retried() {
  return { text: (await client.chat.completions.create(ask("busy"))).choices[0].message.content };
}

async function leftBeforeTheFirstToken() {
  const leaving = new AbortController();
  const asked = client.chat.completions.create(ask("silent"), { signal: leaving.signal });
  setTimeout(() => leaving.abort(), 500);
  try {
    await asked;
  } catch (error) {
    return { left: now(), error: error.constructor.name };
  }
  return "no abort";
}

async function leftInTheMiddle() {
  (await hold()).controller.abort();
  return { left: now() };
}

async function crowded() {
  const holding = [await hold(), await hold()];
  const error = await failing();
  for (const held of holding) held.controller.abort();
  return error;
}

const scenes = {
  chat: await chat(),
  stream: await stream(),
  tools: await tools(),
  streamed_tools: await streamedTools(),
  structured: await structured(),
  embedding: await embedding(),
  models: await models(),
  bad: await failing({ temperature: 9 }),
  unknown_key: await failing({}, new OpenAI({ baseURL, apiKey: "no", maxRetries: 0 })),
  unknown_model: await failing({ model: "gpt-9" }),
  broken: await failing({ messages: user("broken") }),
  retried: await retried(),
  left_before_the_first_token: await leftBeforeTheFirstToken(),
  left_in_the_middle: await leftInTheMiddle(),
  crowded: await crowded(),
};
console.log(JSON.stringify(scenes));
