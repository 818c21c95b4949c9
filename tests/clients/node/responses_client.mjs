// Every scene with the official `openai` package for Node over the Responses API, whose answers can be read again.

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const { FIRSTPASS_BASE_URL: baseURL, FIRSTPASS_KEY: apiKey } = process.env;
const client = new OpenAI({ baseURL, apiKey });
const impatient = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = { type: "function", name: "weather", parameters, strict: false };
const now = () => Date.now() / 1000;
const ask = (input, more = {}) => ({ model: "local", input, ...more });
const callsOf = (response) =>
  response.output
    .filter((item) => item.type === "function_call")
    .map((item) => [item.name, JSON.parse(item.arguments)]);
const counted = (usage) => [usage.input_tokens, usage.output_tokens];
const names = { reasoning: "thinking", message: "text" };

async function chat() {
  const answer = await client.responses.create(ask("hello"));
  return { text: answer.output_text, usage: counted(answer.usage) };
}

async function stream() {
  const texts = [];
  const events = client.responses.stream(ask("hello"));
  events.on("response.output_text.delta", (event) => texts.push(event.delta));
  const answer = await events.finalResponse();
  return { text: texts.join(""), pieces: texts.length, usage: counted(answer.usage) };
}

async function thought() {
  const whole = await client.responses.create(ask("think"));
  const pieces = [];
  let streamed;
  for await (const event of await client.responses.create(ask("think", { stream: true }))) {
    if (event.type === "response.reasoning_text.delta") pieces.push(event.delta);
    if (event.type === "response.completed") streamed = event.response;
  }
  const turns = [{ role: "user", content: "think" }, ...whole.output, { role: "user", content: "so?" }];
  const again = await client.responses.create(ask(turns));
  const blocks = [whole, streamed, again].map((response) => response.output.map((item) => names[item.type]));
  return { blocks, thoughts: [whole.output[0].content[0].text, pieces.join("")] };
}

async function tools() {
  // The result goes back to the recorded response, without what was said before it.
  const first = await client.responses.create(ask("weather?", { tools: [tool] }));
  const result = { type: "function_call_output", call_id: first.output[0].call_id, output: "rain" };
  const more = { tools: [tool], previous_response_id: first.id };
  return { calls: callsOf(first), after: (await client.responses.create(ask([result], more))).output_text };
}

async function streamedTools() {
  return { calls: callsOf(await client.responses.stream(ask("weather?", { tools: [tool] })).finalResponse()) };
}

async function structured() {
  const format = zodTextFormat(z.object({ city: z.string(), degrees: z.number() }), "weather");
  return (await client.responses.parse(ask("weather?", { text: { format } }))).output_parsed;
}

async function recalled() {
  // A conversation that the server keeps, read again and taken out of the record.
  const first = await client.responses.create(ask("hello", { instructions: "Be brief." }));
  const second = await client.responses.create(ask("and now?", { previous_response_id: first.id }));
  const read = await client.responses.retrieve(second.id);
  const said = [];
  for await (const item of client.responses.inputItems.list(second.id, { order: "asc", limit: 2 }))
    said.push(item.content[0].text);
  await client.responses.delete(second.id);
  return {
    same: read.output_text === second.output_text && read.id === second.id,
    previous: read.previous_response_id === first.id,
    said,
    deleted: (await failing(() => impatient.responses.retrieve(second.id))).error,
  };
}

async function failing(work) {
  try {
    await work();
  } catch (error) {
    return { error: error.constructor.name, status: error.status, message: error.message };
  }
  return "no error";
}

const refused = (changed = {}, fails = impatient) =>
  failing(() => fails.responses.create({ ...ask("hello"), ...changed }));

async function leave(input, more) {
  const leaving = new AbortController();
  const asked = client.responses.create(ask(input, more), { signal: leaving.signal });
  setTimeout(() => leaving.abort(), 500);
  try {
    for await (const _ of await asked);
  } catch (error) {
    return { left: now(), error: error.constructor.name };
  }
  return { left: now() };
}

async function hold() {
  const held = await client.responses.create(ask("hold", { stream: true }));
  const events = held[Symbol.asyncIterator]();
  while ((await events.next()).value.type !== "response.output_text.delta");
  return held;
}

async function crowded() {
  const holding = [await hold(), await hold()];
  const error = await refused();
  for (const held of holding) held.controller.abort();
  return error;
}

const scenes = {
  chat: await chat(),
  stream: await stream(),
  thought: await thought(),
  tools: await tools(),
  streamed_tools: await streamedTools(),
  structured: await structured(),
  recalled: await recalled(),
  bad: await refused({ temperature: 9 }),
  unknown_key: await refused({}, new OpenAI({ baseURL, apiKey: "no", maxRetries: 0 })),
  unknown_model: await refused({ model: "gpt-9" }),
  broken: await refused({ input: "broken" }),
  retried: { text: (await client.responses.create(ask("busy"))).output_text },
  left_before_the_first_token: await leave("silent"),
  left_in_the_middle: await leave("hold", { stream: true }),
  crowded: await crowded(),
};
console.log(JSON.stringify(scenes));
