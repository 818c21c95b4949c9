// Every scene with Vercel's `ai`, over the API that the first argument names: chat, responses or messages.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { FIRSTPASS_BASE_URL: baseURL, FIRSTPASS_KEY: apiKey } = process.env;
const openai = createOpenAI({ baseURL, apiKey });
const models = {
  chat: (name, key = apiKey) => createOpenAI({ baseURL, apiKey: key }).chat(name),
  responses: (name, key = apiKey) => createOpenAI({ baseURL, apiKey: key }).responses(name),
  messages: (name, key = apiKey) => createAnthropic({ baseURL, apiKey: key })(name),
};
const over = process.argv[2];
const model = models[over]("local");
const now = () => Date.now() / 1000;
const counted = (usage) => [usage.inputTokens, usage.outputTokens];
const quiet = { onError: () => {} };

const called = [];
const weather = tool({
  description: "Of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    called.push(["weather", { city }]);
    return `rain in ${city}`;
  },
});
const looped = { model, prompt: "weather?", tools: { weather }, stopWhen: stepCountIs(3) };

async function chat() {
  const answer = await generateText({ model, prompt: "hello" });
  return { text: answer.text, usage: counted(answer.usage) };
}

async function stream() {
  const answer = streamText({ model, prompt: "hello" });
  const texts = [];
  for await (const text of answer.textStream) texts.push(text);
  return { text: texts.join(""), pieces: texts.length, usage: counted(await answer.usage) };
}

async function tools() {
  const answer = await generateText(looped);
  return { calls: called.splice(0), after: answer.text };
}

async function streamedTools() {
  const answer = streamText(looped);
  await answer.consumeStream();
  return { calls: called.splice(0), after: await answer.text };
}

async function structured() {
  const schema = z.object({ city: z.string(), degrees: z.number() });
  return (await generateText({ model, prompt: "weather?", output: Output.object({ schema }) })).output;
}

async function embedding() {
  return (await embed({ model: openai.textEmbeddingModel("local"), value: "b" })).embedding;
}

async function thought() {
  const providerOptions = { openai: { forceReasoning: true, reasoningSummary: "auto" } };
  const asked = { model, prompt: "think", providerOptions };
  const whole = await generateText(asked);
  const streamed = streamText(asked);
  await streamed.consumeStream();
  const messages = [{ role: "user", content: "think" }, ...whole.response.messages, { role: "user", content: "so?" }];
  const again = await generateText({ model, messages, providerOptions });
  const typesOf = (content) => content.map((part) => part.type.replace("reasoning", "thinking"));
  const blocks = [whole.content, await streamed.content, again.content].map(typesOf);
  return { blocks, thoughts: [whole.reasoningText, await streamed.reasoningText] };
}

async function failing(changed = {}) {
  try {
    await generateText({ model, prompt: "hello", maxRetries: 0, ...changed });
  } catch (error) {
    return { error: error.name, status: error.statusCode, message: error.message };
  }
  return "no error";
}

async function hold() {
  const leaving = new AbortController();
  const held = streamText({ model, prompt: "hold", abortSignal: leaving.signal, ...quiet });
  await held.textStream[Symbol.asyncIterator]().next();
  return leaving;
}

async function retried() {
  return { text: (await generateText({ model, prompt: "busy" })).text };
}

async function leftBeforeTheFirstToken() {
  try {
    await generateText({ model, prompt: "silent", abortSignal: AbortSignal.timeout(500) });
  } catch (error) {
    return { left: now(), error: error.name };
  }
  return "no abort";
}

async function leftInTheMiddle() {
  (await hold()).abort();
  return { left: now() };
}

async function crowded() {
  const holding = [await hold(), await hold()];
  const error = await failing();
  for (const held of holding) held.abort();
  return error;
}

const scenes = {
  chat: await chat(),
  stream: await stream(),
  tools: await tools(),
  streamed_tools: await streamedTools(),
  structured: await structured(),
  embedding: await embedding(),
  ...(over === "chat" ? {} : { thought: await thought() }),
  bad: await failing({ topP: 9 }),
  unknown_key: await failing({ model: models[over]("local", "no") }),
  unknown_model: await failing({ model: models[over]("gpt-9") }),
  broken: await failing({ prompt: "broken" }),
  retried: await retried(),
  left_before_the_first_token: await leftBeforeTheFirstToken(),
  left_in_the_middle: await leftInTheMiddle(),
  crowded: await crowded(),
};
console.log(JSON.stringify(scenes));
