// One answer of the playground: whom it is asked of, its text as it comes, and how it was made.
import type { JSX } from "preact";
import { Choice, type Option, RouteBadge, Trouble } from "../parts/common";
import { Findings, GateScore, Receipts, Timeline } from "../parts/made";
import { HeatLegend, Marked, differenceLayers, findingLayers, heatLayers } from "../parts/marked";
import { finalText, finalTokens, type Run, type Wish } from "../run";
import { linkTo } from "../hooks";
import { seconds } from "../words";

export interface Offered {
  models: Option[];
  contracts: Option[];
}

const CEILINGS: Option[] = [
  { value: "", label: "as the server says" },
  { value: "local-only", label: "local-only" },
  { value: "redacted", label: "redacted" },
  { value: "any", label: "any" },
];

export function LaneWish(given: {
  wish: Wish;
  number: number;
  alone: boolean;
  busy: boolean;
  offered: Offered;
  onChange: (wish: Wish) => void;
  onRemove: () => void;
}): JSX.Element {
  const { wish, onChange } = given;
  return (
    <fieldset class="wish">
      <legend>{given.alone ? "Ask" : `Answer ${given.number}`}</legend>
      <Choice label="Model or route" value={wish.model} options={given.offered.models} onChange={(model) => onChange({ ...wish, model })} />
      <Choice label="Contract" value={wish.contract} options={given.offered.contracts} onChange={(contract) => onChange({ ...wish, contract })} />
      <Choice label="What may leave" value={wish.egress} options={CEILINGS} onChange={(egress) => onChange({ ...wish, egress })} />
      {given.alone ? null : (
        <button type="button" class="quiet remove" disabled={given.busy} onClick={given.onRemove} aria-label={`Remove answer ${given.number}`}>
          Remove
        </button>
      )}
    </fieldset>
  );
}

export function Lane(given: { run: Run; number: number; alone: boolean; compared: string | null; heat: boolean }): JSX.Element {
  const { run } = given;
  const title = [run.asked.wish.model, run.asked.wish.contract].filter(Boolean).join(" · ");
  return (
    <article class="lane" aria-label={`Answer ${given.number}`}>
      <header>
        <h2>{given.alone ? "Answer" : title}</h2>
        <Verdict run={run} />
      </header>
      <Trouble error={run.error} />
      <div aria-busy={run.phase === "waiting" || run.phase === "writing"}>
        <Said run={run} compared={given.compared} heat={given.heat} />
      </div>
      {run.notes.length ? <p class="fine">{run.notes.join(" · ")}</p> : null}
      <Made run={run} />
    </article>
  );
}

function Verdict({ run }: { run: Run }): JSX.Element {
  return (
    <p class="verdict" role="status">
      {run.phase === "waiting" ? "waiting…" : run.phase === "writing" ? "writing…" : run.phase === "stopped" ? "stopped" : null}
      {run.how ? <RouteBadge route={run.how.route} /> : run.phase === "failed" ? <RouteBadge route={null} code={run.error?.code ?? null} /> : null}
      {run.firstMs === null ? null : <span title="Until the first token came here">first {seconds(run.firstMs / 1000)}</span>}
      {run.wholeMs === null ? null : <span title="Until the last event came here">whole {seconds(run.wholeMs / 1000)}</span>}
    </p>
  );
}

function Said({ run, compared, heat }: { run: Run; compared: string | null; heat: boolean }): JSX.Element {
  const [text, done] = [finalText(run), run.phase === "done"];
  const heated = heat ? heatLayers(text, finalTokens(run)) : [];
  const layers = [
    ...heated,
    ...(run.how ? findingLayers(text, run.how.findings) : []),
    ...(done && compared !== null ? differenceLayers(text, compared) : []),
  ];
  return (
    <>
      {run.thought ? (
        <details class="thought">
          <summary>Thoughts</summary>
          <pre>{run.thought}</pre>
        </details>
      ) : null}
      {run.phase === "waiting" ? <p class="answer empty">…</p> : text || done ? <Marked text={text} layers={layers} /> : null}
      {heated.length ? <HeatLegend /> : null}
      {run.how?.verdict === "replaced" ? (
        <details>
          <summary>The draft that was shown first and did not hold</summary>
          <Marked text={run.text} layers={heat ? heatLayers(run.text, run.tokens) : []} />
          {heat && run.tokens.length ? <HeatLegend /> : null}
        </details>
      ) : null}
    </>
  );
}

function Made({ run }: { run: Run }): JSX.Element | null {
  const { how } = run;
  if (!how) return null;
  return (
    <div class="made">
      <section>
        <h3>Checks{how.contract ? ` of ${how.contract}` : ""}</h3>
        {how.contract ? <Findings findings={how.findings} /> : <p class="fine">Without a contract nothing was checked.</p>}
        {how.gate ? <GateScore gate={how.gate} /> : null}
      </section>
      <section>
        <h3>Receipt</h3>
        <Receipts receipts={how.receipts} />
      </section>
      <section>
        <h3>Where the time went</h3>
        <Timeline steps={how.steps} total={how.seconds} />
      </section>
      <p class="fine">
        <a href={linkTo("exchanges", how.exchange)}>Step by step</a> · <code>{how.exchange}</code>
      </p>
    </div>
  );
}
