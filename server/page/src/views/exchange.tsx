// One exchange, step by step, and what may be done with it: label it, forget it, take it elsewhere.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { ApiError, ask } from "../api";
import { Calls, Copy, RouteBadge, Trouble } from "../parts/common";
import { Findings, GateScore, Receipts, Timeline, outlined } from "../parts/made";
import { HeatLegend, Marked, findingLayers, heatLayers } from "../parts/marked";
import { go, linkTo, useLoaded } from "../hooks";
import type { Exchange as Recorded, Found, Label, Message, Step } from "../shapes";
import { bytes, count, moment, seconds, whole } from "../words";

export function Exchange({ id }: { id: string }): JSX.Element {
  const { value, error, again } = useLoaded((signal) => ask<Found>(`/v1/exchanges/${encodeURIComponent(id)}`, { signal }), [id]);
  return (
    <div class="exchange">
      <p>
        <a href={linkTo("exchanges")}>← Exchanges</a>
      </p>
      <h1 class="id">{id}</h1>
      <Trouble error={error} again={again} />
      {value ? <Whole found={value} again={again} /> : null}
    </div>
  );
}

const answerOf = (exchange: Recorded): string => {
  const step = exchange.steps[exchange.ending?.step ?? -1];
  return step ? (step.edited ?? step.reply?.text ?? "") : "";
};

function Whole({ found, again }: { found: Found; again: () => void }): JSX.Element {
  const { exchange, told, labels } = found;
  const receipts = exchange.steps.flatMap((step) => [...step.refused, ...(step.receipt ? [step.receipt] : [])]);
  return (
    <>
      <Facts exchange={exchange} />
      <Actions exchange={exchange} labels={labels} again={again} />
      {told.length ? (
        <section class="card">
          <h2>What was done, and why</h2>
          <ol class="told">
            {told.map((sentence, number) => (
              <li key={number}>{sentence}</li>
            ))}
          </ol>
        </section>
      ) : null}
      <section class="card">
        <h2>Where the time went</h2>
        <Timeline steps={exchange.steps.map(outlined)} total={exchange.seconds} />
      </section>
      <section class="card">
        <h2>What was asked</h2>
        {exchange.ask.messages.length ? null : <p class="fine">Its words were not kept, or are forgotten.</p>}
        {exchange.ask.messages.map((message, number) => (
          <div key={number} class="turn">
            <h3>
              {message.role}
              {message.tool_failed ? <span class="fine"> failed</span> : null}
            </h3>
            <Thought text={message.reasoning?.text} />
            <Asked message={message} />
          </div>
        ))}
      </section>
      {exchange.steps.map((step, number) => (
        <StepCard key={number} step={step} number={number} ends={exchange.ending?.step === number} />
      ))}
      {exchange.ending?.judged ? (
        <section class="card">
          <h2>Gate</h2>
          <GateScore gate={exchange.ending.judged} />
        </section>
      ) : null}
      <section class="card">
        <h2>Receipt</h2>
        <Receipts receipts={receipts} />
      </section>
    </>
  );
}

const MOST_LINES = 3000;

/** Images are named and not shown: what came from a caller is not decoded here. */
function Asked({ message }: { message: Message }): JSX.Element {
  const { content, images = [], tool_calls: calls = [] } = message;
  return (
    <>
      {content ? <Said text={content} /> : null}
      {images.map((image, number) => (
        <p key={number} class="fine">
          an image, {image.media_type}, {bytes(Math.floor(image.data.length * 0.75))}
        </p>
      ))}
      <Calls calls={calls} />
      {content || images.length || calls.length ? null : <p class="fine">no words, or none that were kept</p>}
    </>
  );
}

function Thought({ text }: { text: string | undefined }): JSX.Element | null {
  if (!text) return null;
  return (
    <details class="thought">
      <summary>Thoughts</summary>
      <pre>{text}</pre>
    </details>
  );
}

/** A diff with its added and removed lines in colour; any other text as it is. */
function Said({ text }: { text: string }): JSX.Element {
  const lines = text.split("\n");
  if (!/^(diff --git |--- )/m.test(text) || lines.length > MOST_LINES) return <pre>{text}</pre>;
  return (
    <pre>
      {lines.map((line, number) => (
        <span key={number} class={/^\+(?!\+\+ )/.test(line) ? "plus" : /^-(?!-- )/.test(line) ? "minus" : ""}>
          {`${line}\n`}
        </span>
      ))}
    </pre>
  );
}

function Facts({ exchange }: { exchange: Recorded }): JSX.Element {
  const { ask: asked, ending } = exchange;
  const facts: [string, JSX.Element | string | null][] = [
    ["End", <RouteBadge route={ending?.route ?? null} code={ending?.failure ? `${ending.failure.status} ${ending.failure.code}` : "unended"} />],
    ["Asked", <span title={whole(asked.received_unix)}>{moment(asked.received_unix)}</span>],
    ["Model", asked.model],
    ["Contract", asked.contract],
    ["Ceiling", asked.ceiling],
    ["Session", asked.session ? <a href={linkTo("sessions", asked.session)}>{asked.session}</a> : null],
    ["Shadow of", asked.shadows ? <a href={linkTo("exchanges", asked.shadows)}>{asked.shadows}</a> : null],
    ["Experiment", asked.experiment ? `${asked.experiment}/${asked.arm}` : null],
    ["Key", asked.key],
    ["Settings", asked.settings ? <code>{asked.settings.slice(0, 12)}</code> : null],
    ["Took", seconds(exchange.seconds)],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) =>
        value ? (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

function StepCard({ step, number, ends }: { step: Step; number: number; ends: boolean }): JSX.Element {
  const text = step.edited ?? step.reply?.text ?? "";
  const tokens = step.edited === null ? heatLayers(text, step.reply?.logprobs ?? []) : [];
  const signals = Object.entries(step.signals);
  return (
    <section class={`card step${ends ? " ends" : ""}`}>
      <h2>
        Step {number + 1}: {step.move.tier}, {step.move.purpose}
        {ends ? <span class="fine"> · this is the answer</span> : null}
      </h2>
      <p class="fine">
        {[
          step.reply?.model,
          step.reply ? seconds(step.reply.seconds) : null,
          step.reply?.usage ? `${count(step.reply.usage.prompt_tokens)} → ${count(step.reply.usage.completion_tokens)} tokens` : null,
          step.reply?.finish_reason,
          step.streamed ? "shown while it was written" : null,
        ]
          .filter(Boolean)
          .join(" · ")}
      </p>
      {step.failure ? (
        <p class="trouble">
          {step.failure.status} {step.failure.code}: {step.failure.message}
        </p>
      ) : null}
      <Thought text={step.reply?.reasoning?.text} />
      <Calls calls={step.reply?.tool_calls ?? []} />
      {text ? <Marked text={text} layers={[...tokens, ...findingLayers(text, step.findings)]} /> : null}
      {tokens.length ? <HeatLegend /> : null}
      {step.edited !== null && step.reply && step.edited !== step.reply.text ? (
        <details>
          <summary>What was said before the edits</summary>
          <pre>{step.reply.text}</pre>
        </details>
      ) : null}
      <Findings findings={step.findings} />
      {signals.length ? (
        <details>
          <summary>Signals</summary>
          <dl class="signals">
            {signals.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value.toFixed(4)}</dd>
              </div>
            ))}
          </dl>
        </details>
      ) : null}
    </section>
  );
}

function Actions({ exchange, labels, again }: { exchange: Recorded; labels: Label[]; again: () => void }): JSX.Element {
  const { id } = exchange.ask;
  const [error, setError] = useState<ApiError | null>(null);
  const [editing, setEditing] = useState<string | null>(null);
  const asking = useRef<HTMLDialogElement>(null);
  const tried = async (work: Promise<unknown>, then: () => void): Promise<void> => {
    try {
      await work;
      setError(null);
      then();
    } catch (fault) {
      setError(fault instanceof ApiError ? fault : new ApiError(0, "page", String(fault)));
    }
  };
  const label = (verdict: Label["verdict"], text?: string): Promise<void> =>
    tried(ask(`/v1/exchanges/${id}/label`, { method: "POST", body: text === undefined ? { verdict } : { verdict, text } }), () => {
      setEditing(null);
      again();
    });
  return (
    <section class="doing" aria-label="What to do with it">
      <div class="row">
        <button type="button" onClick={() => void label("accept")}>
          Right
        </button>
        <button type="button" onClick={() => void label("reject")}>
          Wrong
        </button>
        <button type="button" aria-expanded={editing !== null} onClick={() => setEditing(editing === null ? answerOf(exchange) : null)}>
          Should have been…
        </button>
        <Copy text={`firstpass case add ${id}`}>Copy “case add”</Copy>
        <Copy text={`firstpass replay ${id}`}>Copy “replay”</Copy>
        <button type="button" class="danger" onClick={() => asking.current?.showModal()}>
          Forget…
        </button>
      </div>
      <Trouble error={error} />
      {editing === null ? null : (
        <form
          class="edit"
          onSubmit={(event) => {
            event.preventDefault();
            void label("edit", editing);
          }}
        >
          <label class="field">
            <span>How the answer should have been</span>
            <textarea rows={10} value={editing} onInput={(event) => setEditing(event.currentTarget.value)} />
          </label>
          <button type="submit" class="main">
            Keep this
          </button>
        </form>
      )}
      {labels.length ? (
        <ul class="plain labels">
          {labels.map((one, number) => (
            <li key={number}>
              <strong>{one.verdict === "accept" ? "right" : one.verdict === "reject" ? "wrong" : "edited"}</strong>{" "}
              <span class="fine">
                {moment(one.made_unix)}, by {one.source}
              </span>
              {one.text ? <pre>{one.text}</pre> : null}
            </li>
          ))}
        </ul>
      ) : null}
      <dialog ref={asking} aria-labelledby="forget">
        <h2 id="forget">Forget this exchange?</h2>
        <p>Its words leave the disk for good, and no backup of them is kept here. Counts, times and receipts stay.</p>
        <form method="dialog" class="row">
          <button type="submit">Keep it</button>
          <button
            type="submit"
            class="danger"
            onClick={() => void tried(ask(`/v1/exchanges/${id}`, { method: "DELETE" }), () => go("exchanges"))}
          >
            Forget it
          </button>
        </form>
      </dialog>
    </section>
  );
}
