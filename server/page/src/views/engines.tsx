// The models on this machine: in the memory or not, what waits for them, how many tokens a second they write.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { ApiError, ask, text } from "../api";
import { Trouble } from "../parts/common";
import { useLoaded } from "../hooks";
import type { List, Model, Standing } from "../shapes";
import { bytes, count, seconds } from "../words";

const POLL_MS = 2000;
const KEPT = 60;

/** A line of Prometheus' text: the name, its labels and the value. */
const LINE = /^(\w+)(?:\{([^}]*)\})? (\S+)$/;

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export const samples = (written: string): Sample[] =>
  written.split("\n").flatMap((line) => {
    const match = LINE.exec(line);
    if (!match) return [];
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map((one) => [one[1]!, one[2]!]));
    return [{ name: match[1]!, labels, value: Number(match[3]) }];
  });

const total = (found: Sample[], name: string, labels: Record<string, string> = {}): number =>
  found
    .filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((sum, one) => sum + one.value, 0);

interface Rate {
  draft: number[];
  verifier: number[];
}

interface Seen {
  at: number;
  draft: number;
  verifier: number;
}

function useRates(): { rates: Rate; found: Sample[]; error: ApiError | null } {
  const before = useRef<Seen | null>(null);
  const rates = useRef<Rate>({ draft: [], verifier: [] });
  const { value, error } = useLoaded(
    async (signal) => {
      const found = samples(await text("/metrics", signal));
      const tokens = (tier: string): number => total(found, "firstpass_tokens_total", { tier, kind: "completion" });
      const now = { at: performance.now(), draft: tokens("draft"), verifier: tokens("verifier") };
      const then = before.current;
      before.current = now;
      if (then) {
        const spent = (now.at - then.at) / 1000;
        // A server that began anew counts from nothing again.
        for (const tier of ["draft", "verifier"] as const) {
          const rate = Math.max(0, now[tier] - then[tier]) / spent;
          rates.current = { ...rates.current, [tier]: [...rates.current[tier], rate].slice(-KEPT) };
        }
      }
      return found;
    },
    [],
    POLL_MS,
  );
  return { rates: rates.current, found: value ?? [], error };
}

export function Engines(): JSX.Element {
  const models = useLoaded((signal) => ask<List<Model>>("/v1/models", { signal }), [], POLL_MS);
  const { rates, found, error } = useRates();
  const [failed, setFailed] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState<string | null>(null);
  const here = oncePerEngine(models.value?.data ?? []);
  const move = async (model: string, what: "load" | "unload"): Promise<void> => {
    setBusy(model);
    setFailed(null);
    try {
      await ask(`/v1/models/${model.split("/").map(encodeURIComponent).join("/")}/${what}`, { method: "POST", body: {} });
    } catch (fault) {
      setFailed(fault instanceof ApiError ? fault : new ApiError(0, "page", String(fault)));
    }
    setBusy(null);
    models.again();
  };
  const first = total(found, "firstpass_time_to_first_token_seconds_sum") / total(found, "firstpass_time_to_first_token_seconds_count");
  return (
    <div class="engines">
      <h1>Engines</h1>
      <Trouble error={models.error ?? error ?? failed} again={models.again} />
      <dl class="facts big">
        <Rated name="Draft" rate={rates.draft} />
        <Rated name="Verifier" rate={rates.verifier} />
        <Fact name="Being answered" value={count(total(found, "firstpass_in_flight"))} />
        <Fact name="Waiting" value={count(total(found, "firstpass_waiting"))} />
        <Fact name="First token, mean" value={seconds(Number.isFinite(first) ? first : null)} />
        <Fact name="Left this machine" value={bytes(total(found, "firstpass_departed_bytes_total"))} />
      </dl>
      <div class="scroll">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">Engine</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Memory
              </th>
              <th scope="col" class="number">
                Works on
              </th>
              <th scope="col" class="number">
                Wait for it
              </th>
              <th scope="col" class="number">
                Idle
              </th>
              <th scope="col">Do</th>
            </tr>
          </thead>
          <tbody>
            {here.map(({ id, standing }) => (
              <tr key={standing.engine}>
                <th scope="row">{standing.engine}</th>
                <td>
                  <span class={`state ${standing.state}`}>{standing.state}</span>
                  {standing.pinned ? <span class="fine"> pinned</span> : null} <Process found={found} engine={standing.engine} />
                </td>
                <td class="number">{standing.memory_bytes ? bytes(standing.memory_bytes) : "–"}</td>
                <td class="number">{standing.in_flight}</td>
                <td class="number">{standing.waiting}</td>
                <td class="number">{seconds(standing.idle_seconds)}</td>
                <td class="row">
                  <button type="button" disabled={busy !== null || standing.state === "loaded"} onClick={() => void move(id, "load")}>
                    Load
                  </button>
                  <button
                    type="button"
                    disabled={busy !== null || standing.pinned || standing.state === "available"}
                    onClick={() => void move(id, "unload")}
                  >
                    Unload
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function oncePerEngine(models: Model[]): { id: string; standing: Standing }[] {
  const found = new Map<string, { id: string; standing: Standing }>();
  for (const { id, firstpass } of models) {
    if (firstpass && (!found.has(firstpass.engine) || id === firstpass.engine)) {
      found.set(firstpass.engine, { id, standing: firstpass });
    }
  }
  return [...found.values()];
}

function Process({ found, engine }: { found: Sample[]; engine: string }): JSX.Element | null {
  const state = found.find((one) => one.name === "firstpass_engine_state" && one.labels["engine"] === engine && one.value === 1);
  return state ? <span class="fine">process {state.labels["state"]}</span> : null;
}

function Fact({ name, value }: { name: string; value: string }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Rated({ name, rate }: { name: string; rate: number[] }): JSX.Element {
  const most = Math.max(...rate, 1);
  const points = rate.map((one, at) => `${(at * 100) / Math.max(1, KEPT - 1)},${24 - (one / most) * 22}`).join(" ");
  return (
    <div>
      <dt>{name}, tokens a second</dt>
      <dd>
        {rate.length ? rate.at(-1)!.toFixed(1) : "–"}
        <svg class="spark" viewBox="0 0 100 25" preserveAspectRatio="none" role="img" aria-label={`${name}: the last two minutes`}>
          <polyline points={points} />
        </svg>
      </dd>
    </div>
  );
}
