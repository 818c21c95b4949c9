// How an answer was made: verdict, findings, receipts, and where the time went. Knows no request.
import type { JSX } from "preact";
import type { Finding, Gate, HowStep, Receipt, Step } from "../shapes";
import { bytes, count, moment, seconds } from "../words";
import { Copy } from "./common";

export function Findings({ findings }: { findings: readonly Finding[] }): JSX.Element {
  if (!findings.length) return <p class="fine">No finding: every check passed.</p>;
  return (
    <ul class="findings">
      {findings.map((finding, number) => (
        <li key={number} class={finding.severity}>
          <span class="kind">{finding.severity === "fail" ? "fails" : "note"}</span>
          <span>
            <code>{finding.check}</code> {finding.message}
          </span>
        </li>
      ))}
    </ul>
  );
}

export function GateScore({ gate }: { gate: Gate }): JSX.Element {
  const from = gate.accept_from;
  return (
    <div class="gate">
      <p>
        Gate <code>{gate.gate}</code>: <strong>{gate.accepted ? "accepted" : "not accepted"}</strong> by {gate.by}
        {gate.audit ? ", drawn for an audit" : ""}
      </p>
      <svg viewBox="0 0 200 26" role="img" aria-label={`score ${gate.score.toFixed(3)}, accepted from ${from ?? 0}`}>
        <rect class="track" x="0" y="4" width="200" height="8" rx="2" />
        <rect class="fill" x="0" y="4" width={Math.max(1, gate.score * 200)} height="8" rx="2" />
        {from === null ? null : <line class="from" x1={from * 200} x2={from * 200} y1="0" y2="16" />}
        <text x="0" y="25">
          score {gate.score.toFixed(3)}
          {from === null ? "" : `, needs ${from.toFixed(3)}`}
        </text>
      </svg>
      <p class="fine">
        Promise: at most {(100 * gate.risk).toFixed(1)}% of all requests accepted and wrong, with{" "}
        {(100 * gate.confidence).toFixed(0)}% confidence.
      </p>
    </div>
  );
}

export function Receipts({ receipts }: { receipts: readonly Receipt[] }): JSX.Element {
  if (!receipts.length) return <p class="fine">Nothing left this machine.</p>;
  return (
    <ul class="receipts">
      {receipts.map((one, number) => (
        <li key={number}>
          <strong>{bytes(one.bytes)}</strong> to <code>{one.host}</code> at {moment(one.sent_unix)}
          {one.ceiling ? `, under ${one.ceiling}` : ""}
          {Object.keys(one.redacted ?? {}).length ? `, redacted: ${redacted(one.redacted)}` : ""}
          <br />
          sha256 <code class="digest">{one.sha256.slice(0, 16)}…</code> <Copy text={one.sha256}>Copy digest</Copy>
          {one.number === null || one.number === undefined ? "" : ` entry ${one.number} of the log`}
        </li>
      ))}
    </ul>
  );
}

const redacted = (kinds: Record<string, number>): string =>
  Object.entries(kinds)
    .map(([kind, number]) => `${number} ${kind}`)
    .join(", ");

export const outlined = (step: Step): HowStep => ({
  tier: step.move.tier,
  purpose: step.move.purpose,
  rule: step.move.rule ?? null,
  model: step.reply?.model ?? null,
  seconds: step.reply?.seconds ?? null,
  first_token_seconds: step.reply?.first_token_seconds ?? null,
  checks_seconds: step.checks_seconds,
  usage: step.reply?.usage ?? null,
  finish_reason: step.reply?.finish_reason ?? null,
  failed_checks: step.findings.filter((finding) => finding.severity === "fail").length,
  signals: step.signals,
  failure: step.failure?.message ?? null,
});

/** A bar a step, one after the other as they were taken: the wait for the first token, the rest, the checks. */
export function Timeline({ steps, total }: { steps: readonly HowStep[]; total: number | null }): JSX.Element {
  const spent = steps.map((step) => (step.seconds ?? 0) + (step.checks_seconds ?? 0));
  const all = Math.max(total ?? 0, spent.reduce((sum, one) => sum + one, 0), 1e-6);
  let before = 0;
  return (
    <ol class="timeline">
      {steps.map((step, number) => {
        const begin = before;
        before += spent[number]!;
        return <Bar key={number} step={step} begin={begin / all} scale={100 / all} />;
      })}
      <li class="total">
        <span class="who">whole answer</span>
        <span class="legend">
          <span class="key first">until the first token</span>
          <span class="key rest">writing</span>
          <span class="key checks">checks by code</span>
        </span>
        <span class="when">{seconds(total)}</span>
      </li>
    </ol>
  );
}

function Bar({ step, begin, scale }: { step: HowStep; begin: number; scale: number }): JSX.Element {
  const [first, all, checks] = [step.first_token_seconds ?? 0, step.seconds ?? 0, step.checks_seconds ?? 0];
  const at = begin * 100;
  const told = [
    step.first_token_seconds === null ? "" : `first token ${seconds(step.first_token_seconds)}`,
    step.usage ? `${count(step.usage.prompt_tokens)} → ${count(step.usage.completion_tokens)} tokens` : "",
    step.checks_seconds === null ? "" : `checks ${seconds(step.checks_seconds)}`,
    step.rule ? `rule ${step.rule}` : "",
    step.failure ?? "",
  ].filter(Boolean);
  return (
    <li>
      <span class="who">
        {step.tier} · {step.purpose}
      </span>
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="track" x="0" y="0" width="100" height="6" />
        <rect class="first" x={at} y="0" width={first * scale} height="6" />
        <rect class="rest" x={at + first * scale} y="0" width={Math.max(0.4, (all - first) * scale)} height="6" />
        <rect class="checks" x={at + all * scale} y="0" width={checks * scale} height="6" />
      </svg>
      <span class="when">{seconds(all + checks)}</span>
      <span class="told">
        {step.model ? <code>{step.model}</code> : null} {told.join(" · ")}
      </span>
    </li>
  );
}
