// What `firstpass eval` and `firstpass bench` found, read from the server's folder of results.
import type { JSX } from "preact";
import { ask } from "../api";
import { Empty, Guarded, Trouble } from "../parts/common";
import { Dots, valued } from "../parts/plot";
import { linkTo, useLoaded } from "../hooks";
import type { Figure, List, ResultOutline } from "../shapes";
import { moment } from "../words";

interface Arm {
  models?: string[];
  model?: string | null;
  asked_for?: string;
  figures: Record<string, Figure>;
  rounds?: Record<string, number | null>[];
  by_repository?: Record<string, { cases: number; pass: number }>;
}

interface Body {
  arms: Record<string, Arm>;
  machine?: string;
  version?: string;
  contract?: string;
  cases?: number;
  intervals?: string;
  seed?: number;
  warnings?: string[];
  requirements?: { text: string; found: number | null; met: boolean }[];
  ratios?: ({ arm: string; other: string; name: string; real: boolean } & Figure)[];
  made_unix?: number;
}

interface Result {
  id: string;
  kind: "eval" | "bench";
  results: Body;
}

export function Results({ name }: { name: string | null }): JSX.Element {
  const { value, error, again } = useLoaded((signal) => ask<List<ResultOutline>>("/v1/results", { signal }), []);
  const found = value?.data ?? [];
  return (
    <div class={`results${name ? " open" : ""}`}>
      <h1>Evaluations and benchmarks</h1>
      <section class="list" aria-label="Runs">
        <Trouble error={error} again={again} />
        {value && !found.length ? (
          <Empty>
            No run yet. <code>firstpass eval</code> and <code>firstpass bench run</code> are shown here where their{" "}
            <code>--out</code> is a folder in <code>server.results_dir</code>.
          </Empty>
        ) : null}
        <ul class="picks">
          {found.map((one) => (
            <li key={one.id}>
              <a href={linkTo("results", one.id)} aria-current={one.id === name ? "true" : undefined}>
                <strong>{one.id}</strong>
                <span class="fine">
                  {one.why ?? `${one.kind} · ${one.arms.join(", ")}${one.made_unix ? ` · ${moment(one.made_unix)}` : ""}`}
                </span>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {name ? (
        <Guarded key={name}>
          <One name={name} />
        </Guarded>
      ) : null}
    </div>
  );
}

function One({ name }: { name: string }): JSX.Element {
  const { value, error, again } = useLoaded((signal) => ask<Result>(`/v1/results/${encodeURIComponent(name)}`, { signal }), [name]);
  const body = value?.results;
  return (
    <section class="card one" aria-label={`Run ${name}`}>
      <p class="back">
        <a href={linkTo("results")}>← Runs</a>
      </p>
      <h2>{name}</h2>
      <Trouble error={error} again={again} />
      {body ? (
        <>
          {body.warnings?.map((warning, number) => (
            <p key={number} class="trouble warned">
              {warning}
            </p>
          ))}
          {value.kind === "eval" ? <EvalPlots arms={body.arms} /> : <BenchPlots arms={body.arms} />}
          <Ratios ratios={body.ratios ?? []} />
          <Requirements body={body} />
          <FigureTable arms={body.arms} kind={value.kind} />
          <p class="fine">
            {[
              body.contract,
              body.cases === undefined ? null : `${body.cases} cases`,
              body.machine,
              body.version ? `Firstpass ${body.version}` : null,
              body.seed === undefined ? null : `seed ${body.seed}`,
              body.intervals ? `intervals ${body.intervals}` : null,
            ]
              .filter(Boolean)
              .join(" · ")}
          </p>
        </>
      ) : null}
    </section>
  );
}

const percent = (value: number): string => `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)}%`;
const milliseconds = (value: number): string => (value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value).toLocaleString("en")} ms`);
const plain = (value: number): string => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3));

function EvalPlots({ arms }: { arms: Record<string, Arm> }): JSX.Element {
  const dots = (figure: string) => Object.entries(arms).map(([name, arm]) => ({ name, figure: arm.figures[figure] ?? null }));
  return (
    <div class="plots">
      <Dots title="Answers that pass" dots={dots("pass")} most={1} written={percent} />
      <Dots title="Identified among twenty" dots={dots("identified")} most={1} written={percent} />
      <Dots title="Asked the verifier" dots={dots("escalations")} most={1} written={percent} />
      <Dots title="Latency, median" dots={dots("p50_ms")} written={milliseconds} />
    </div>
  );
}

const BENCHED: [string, string][] = [
  ["ttft_ms.p50", "Time to the first token, median"],
  ["ttft_ms.p99", "Time to the first token, p99"],
  ["tpot_ms.p50", "Time a token after it, median"],
  ["e2e_ms.p50", "Whole answer, median"],
  ["tokens_per_s", "Tokens a second"],
  ["goodput", "Requests within the SLO"],
];

function BenchPlots({ arms }: { arms: Record<string, Arm> }): JSX.Element {
  return (
    <div class="plots">
      {BENCHED.filter(([figure]) => Object.values(arms).some((arm) => arm.figures[figure])).map(([figure, title]) => (
        <Dots
          key={figure}
          title={title}
          written={writtenAs(figure)}
          dots={Object.entries(arms).map(([name, arm]) => ({
            name,
            figure: arm.figures[figure] ?? null,
            rounds: (arm.rounds ?? []).flatMap((round) => {
              const value = round[figure];
              return typeof value === "number" ? [value] : [];
            }),
          }))}
          {...(figure === "goodput" ? { most: 1 } : {})}
        />
      ))}
    </div>
  );
}

/** What one arm has of another's, where it is a difference. */
function Ratios({ ratios }: { ratios: NonNullable<Body["ratios"]> }): JSX.Element | null {
  const real = ratios.filter((one) => one.real && one.value !== null);
  if (!ratios.length) return null;
  return (
    <ul class="plain ratios">
      {real.map((one) => (
        <li key={`${one.arm} ${one.name}`}>
          <strong>{one.arm}</strong> has {valued(one, (value) => value.toFixed(2))} of {one.other}'s {titled(one.name)}
        </li>
      ))}
      <li class="fine">
        {real.length ? `${ratios.length - real.length} other figures are not told apart.` : "No figure is told apart."}
      </li>
    </ul>
  );
}

function Requirements({ body }: { body: Body }): JSX.Element | null {
  if (!body.requirements?.length) return null;
  return (
    <ul class="findings">
      {body.requirements.map((one) => (
        <li key={one.text} class={one.met ? "note" : "fail"}>
          <span class="kind">{one.met ? "met" : "not met"}</span>
          <span>
            <code>{one.text}</code> found {one.found === null ? "no value" : one.found.toPrecision(4)}
          </span>
        </li>
      ))}
    </ul>
  );
}

const SHARES = new Set(["goodput", "accepted", "escalations", "errors"]);
const COUNTS = new Set(["words", "hosted_tokens_in", "hosted_tokens_out", "cost_usd"]);

const writtenAs = (figure: string, kind = "bench"): ((value: number) => string) => {
  if (/_ms(\.|$)/.test(figure)) return milliseconds;
  return SHARES.has(figure) || (kind === "eval" && !COUNTS.has(figure)) ? percent : plain;
};

const NAMES: Record<string, string> = {
  pass: "contract pass",
  pass_structured: "of the listed sections",
  pass_prose: "of the prose",
  omissions: "required calls omitted",
  hallucinations: "listed calls that are not there",
  hallucinations_prose: "names in prose that are not there",
  omissions_todos: "TODOs omitted",
  identified: "identified by the sentence",
  identified_whole: "identified by all of it",
  told: "salient terms named",
  words: "words in the sentence",
  escalations: "asked the verifier",
  hosted_tokens_in: "verifier tokens in, a request",
  hosted_tokens_out: "verifier tokens out, a request",
  cost_usd: "verifier's cost of 1,000, $",
  p50_ms: "latency p50",
  p90_ms: "latency p90",
  p99_ms: "latency p99",
  errors: "no answer",
  ttft_ms: "to the first token",
  tpot_ms: "a token after it",
  itl_ms: "between two tokens",
  piece_ms: "between two pieces",
  e2e_ms: "whole answer",
  goodput: "within the SLO",
  requests_per_s: "answers a second",
  tokens_per_s: "tokens a second",
};

const titled = (figure: string): string => {
  const [stem, share] = figure.split(".");
  const name = NAMES[stem!] ?? stem!.replaceAll("_", " ");
  return share ? `${name}, ${share}` : name;
};

function FigureTable({ arms, kind }: { arms: Record<string, Arm>; kind: string }): JSX.Element {
  const names = [...new Set(Object.values(arms).flatMap((arm) => Object.keys(arm.figures)))];
  const told = names.filter((name) => Object.values(arms).some((arm) => typeof arm.figures[name]?.value === "number"));
  return (
    <div class="scroll">
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">Figure</th>
            {Object.keys(arms).map((arm) => (
              <th key={arm} scope="col" class="number">
                {arm}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {told.map((name) => (
            <tr key={name}>
              <th scope="row">{titled(name)}</th>
              {Object.entries(arms).map(([arm, { figures }]) => (
                <td key={arm} class="number">
                  {valued(figures[name], writtenAs(name, kind))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
