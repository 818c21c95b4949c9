// What the page asks of the server that it came from, and of nobody else. The API key lives here, in memory alone.

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
    readonly exchange: string | null = null,
  ) {
    super(message);
  }
}

let key = "";
const watchers = new Set<() => void>();

/** Whether there is one; its text is given to no component. */
export const hasKey = (): boolean => key !== "";

export function setKey(text: string): void {
  key = text.trim();
  for (const told of watchers) told();
}

export function onKey(told: () => void): () => void {
  watchers.add(told);
  return () => watchers.delete(told);
}

export interface Sent {
  method?: "GET" | "POST" | "DELETE";
  body?: unknown;
  signal?: AbortSignal;
}

async function sent(path: string, { method = "GET", body, signal }: Sent): Promise<Response> {
  const headers: Record<string, string> = {};
  if (key) headers["authorization"] = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const more = body === undefined ? {} : { body: JSON.stringify(body) };
  try {
    return await fetch(path, { method, headers, credentials: "omit", cache: "no-store", signal: signal ?? null, ...more });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The server does not answer.");
  }
}

async function fault(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    return faultOf(JSON.parse(text).error, response.status);
  } catch {
    return new ApiError(response.status, "error", `The server answered ${response.status}.`);
  }
}

interface Envelope {
  message: string;
  code?: string | null;
  param?: string | null;
  exchange?: string | null;
}

function faultOf(error: Envelope, status: number): ApiError {
  return new ApiError(status, error.code ?? "error", error.message, error.param ?? null, error.exchange ?? null);
}

/** Throws: ApiError. */
export async function ask<T>(path: string, how: Sent = {}): Promise<T> {
  const response = await sent(path, how);
  if (!response.ok) throw await fault(response);
  return (await response.json()) as T;
}

/** Throws: ApiError. */
export async function text(path: string, signal?: AbortSignal): Promise<string> {
  const response = await sent(path, signal ? { signal } : {});
  if (!response.ok) throw await fault(response);
  return response.text();
}

/** The events of a stream, each as the object that its data is. Throws: ApiError, also for one that comes midway. */
export async function stream(
  path: string,
  body: unknown,
  signal: AbortSignal,
  begun: (headers: Headers) => void,
  event: (data: Record<string, unknown>) => void,
): Promise<void> {
  const response = await sent(path, { method: "POST", body, signal });
  if (!response.ok || response.body === null) throw await fault(response);
  begun(response.headers);
  let ended = false;
  for await (const data of lines(response.body)) {
    if (data === "[DONE]") {
      ended = true;
      continue;
    }
    const said = JSON.parse(data) as Record<string, unknown>;
    if (said["error"]) throw faultOf(said["error"] as Envelope, response.status);
    event(said);
  }
  if (!ended) throw new ApiError(0, "cut_off", "The stream broke off before its end.");
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let kept = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      if (error instanceof DOMException) throw error;
      throw new ApiError(0, "cut_off", "The connection broke off in the middle of the answer.");
    });
    const parts = (kept + (value ?? "")).split("\n");
    kept = done ? "" : (parts.pop() ?? "");
    for (const line of parts) if (line.startsWith("data:")) yield line.slice(5).trim();
    if (done) return;
  }
}

export const query = (fields: Record<string, string | number | undefined>): string => {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
};
