// A proxy as many teams have one: it checks its own keys, shapes the prompt, and asks Firstpass with the openai package.

import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import OpenAI from "openai";

const { PROXY_KEYS, PORT = "8090", FIRSTPASS_URL = "http://127.0.0.1:8080/v1", FIRSTPASS_API_KEY = "unused" } = process.env;
if (!PROXY_KEYS) throw new Error("PROXY_KEYS: give at least one key, with commas between them");

const BODY_LIMIT_BYTES = 1_000_000;
const RULES = "You write for code reviewers. Name only what the diff shows; if it shows nothing, say so.";
const PASSED_ON = ["x-request-id", "x-firstpass-route", "x-firstpass-receipt", "retry-after"];

const digest = (key) => createHash("sha256").update(key).digest();
const keys = PROXY_KEYS.split(",").map(digest);
const firstpass = new OpenAI({ baseURL: FIRSTPASS_URL, apiKey: FIRSTPASS_API_KEY });

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// --- What a proxy is for ---------------------------------------------------------------------------------------------

function checkKey(request) {
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "");
  if (!given || !keys.some((key) => timingSafeEqual(key, digest(given[1])))) throw new Refused(401, "this key is not known here");
}

// The team's rules come first, whatever the caller says after them.
function shape(body) {
  if (!Array.isArray(body?.messages)) throw new Refused(400, "messages: a list is needed");
  return { model: "firstpass", ...body, messages: [{ role: "system", content: RULES }, ...body.messages] };
}

// --- The way through -------------------------------------------------------------------------------------------------

async function read(request) {
  const parts = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += part.length;
    if (bytes > BODY_LIMIT_BYTES) throw new Refused(413, `the body is over ${BODY_LIMIT_BYTES} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new Refused(400, "the body is not JSON");
  }
}

const passedOn = (headers) =>
  Object.fromEntries(PASSED_ON.filter((name) => headers?.get(name)).map((name) => [name, headers.get(name)]));

async function answer(request, response) {
  if (request.method !== "POST" || request.url !== "/v1/chat/completions") throw new Refused(404, "there is nothing here");
  checkKey(request);
  const body = shape(await read(request));
  const leaving = new AbortController();
  response.on("close", () => leaving.abort()); // A caller who goes away ends the work at the model, too.
  const asked = firstpass.chat.completions.create(body, { signal: leaving.signal });
  const { data, response: theirs } = await asked.withResponse();
  const type = body.stream ? "text/event-stream" : "application/json";
  response.writeHead(200, { "content-type": type, ...passedOn(theirs.headers) });
  if (!body.stream) return response.end(JSON.stringify(data));
  for await (const chunk of data) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  return response.end("data: [DONE]\n\n");
}

function refuse(response, error) {
  if (response.headersSent || response.destroyed) return response.destroy();
  const status = error.status ?? 502;
  const said = error instanceof OpenAI.APIError && error.error ? error.error : { message: error.message };
  response.writeHead(status, { "content-type": "application/json", ...passedOn(error.headers) });
  return response.end(JSON.stringify({ error: said }));
}

const server = createServer((request, response) => answer(request, response).catch((error) => refuse(response, error)));
server.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
