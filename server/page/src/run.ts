// One answer in the playground: asked for, heard as it comes, and what it turned out to be. Knows no component.
import { ApiError, ask, stream } from "./api";
import type { Found, How, Token } from "./shapes";
import { outlined } from "./parts/made";

export interface Wish {
  model: string;
  contract: string;
  egress: string;
}

export interface Said {
  role: string;
  content: string;
}

export interface Asked {
  wish: Wish;
  messages: Said[];
  heat: boolean;
  optimistic: boolean;
  store: boolean;
  session: string;
}

export type Phase = "waiting" | "writing" | "done" | "failed" | "stopped";

/** text: as it came. how: what the answer says of itself; for a plain one what the record says, where it may be read. */
export interface Run {
  phase: Phase;
  asked: Asked;
  text: string;
  thought: string;
  tokens: Token[];
  exchange: string | null;
  how: How | null;
  notes: string[];
  error: ApiError | null;
  firstMs: number | null;
  wholeMs: number | null;
}

/** The answer: what stands in the place of a draft that was shown and did not hold. */
export const finalText = (run: Run): string => (run.how?.verdict === "replaced" ? (run.how.text ?? "") : run.text);

/** Of the tokens that were shown, those that are still the answer's own. */
export const finalTokens = (run: Run): Token[] => (run.how?.verdict === "replaced" ? [] : run.tokens);

export const begun = (asked: Asked): Run => ({
  phase: "waiting",
  asked,
  text: "",
  thought: "",
  tokens: [],
  exchange: null,
  how: null,
  notes: [],
  error: null,
  firstMs: null,
  wholeMs: null,
});

interface Choice {
  delta?: { content?: string | null; reasoning?: string | null; reasoning_content?: string | null };
  logprobs?: { content?: Token[] | null } | null;
}

function body(asked: Asked): Record<string, unknown> {
  const { contract, egress } = asked.wish;
  const options: Record<string, unknown> = {};
  if (contract) options["contract"] = contract;
  if (egress) options["egress"] = egress;
  if (asked.session) options["session"] = asked.session;
  if (!asked.store) options["store"] = false;
  if (contract && asked.optimistic) options["optimistic"] = true;
  return {
    model: asked.wish.model,
    messages: contract ? asked.messages.slice(-1) : asked.messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(asked.heat ? { logprobs: true } : {}),
    firstpass: options,
  };
}

const NOTED: Record<string, string> = {
  "x-firstpass-model": "answered by",
  "x-firstpass-max-tokens": "room for tokens:",
  "x-firstpass-ignored": "left out:",
  "x-firstpass-experiment": "experiment",
};

/** Tells each new state and gives the last; never throws. Where a model gives no log-probabilities it is asked again without. */
export async function carryOut(asked: Asked, signal: AbortSignal, tell: (run: Run) => void): Promise<Run> {
  let run = begun(asked);
  const changed = (more: Partial<Run>): void => {
    run = { ...run, ...more };
    tell(run);
  };
  const start = performance.now();
  try {
    changed({});
    await heard(asked, signal, changed, () => run, start);
    changed({ phase: "done", wholeMs: performance.now() - start });
    if (run.how === null && asked.store) changed(await fromRecord(run.exchange, signal));
  } catch (error) {
    if (signal.aborted) changed({ phase: "stopped" });
    else if (error instanceof ApiError && error.param === "logprobs" && asked.heat) {
      return carryOut({ ...asked, heat: false }, signal, (next) =>
        tell({ ...next, notes: ["this model gives no log-probabilities", ...next.notes] }),
      );
    } else {
      const fault = error instanceof ApiError ? error : new ApiError(0, "page", String(error));
      changed({ phase: "failed", error: fault, exchange: run.exchange ?? fault.exchange });
    }
  }
  return run;
}

async function heard(
  asked: Asked,
  signal: AbortSignal,
  changed: (more: Partial<Run>) => void,
  now: () => Run,
  start: number,
): Promise<void> {
  const begin = (headers: Headers): void => {
    const notes = Object.entries(NOTED).flatMap(([name, said]) =>
      headers.get(name) ? [`${said} ${headers.get(name)}`] : [],
    );
    changed({ exchange: headers.get("x-request-id"), notes });
  };
  await stream("/v1/chat/completions", body(asked), signal, begin, (event) => {
    const [choice] = (event["choices"] ?? []) as Choice[];
    const made = event["firstpass"] as How | undefined;
    if (made) changed({ how: made });
    if (!choice) return;
    const said = choice.delta?.content ?? "";
    const thought = choice.delta?.reasoning ?? choice.delta?.reasoning_content ?? "";
    const tokens = choice.logprobs?.content ?? [];
    if (!said && !thought && !tokens.length) return;
    const run = now();
    changed({
      phase: "writing",
      text: run.text + said,
      thought: run.thought + thought,
      tokens: tokens.length ? [...run.tokens, ...tokens] : run.tokens,
      firstMs: run.firstMs ?? performance.now() - start,
    });
  });
}

/** A plain answer is the model's own and says nothing of how it was made; the record does. */
async function fromRecord(exchange: string | null, signal: AbortSignal): Promise<Partial<Run>> {
  if (!exchange) return {};
  try {
    const found = (await ask<Found>(`/v1/exchanges/${exchange}`, { signal })).exchange;
    const step = found.steps[found.ending?.step ?? -1];
    return {
      how: {
        exchange,
        route: found.ending?.route ?? "unverified",
        contract: found.ask.contract,
        findings: step?.findings ?? [],
        gate: found.ending?.judged ?? null,
        steps: found.steps.map(outlined),
        receipts: found.steps.flatMap((one) => [...one.refused, ...(one.receipt ? [one.receipt] : [])]),
        seconds: found.seconds,
      },
    };
  } catch {
    return { notes: ["how it was made could not be read from the record"] };
  }
}
