// The playground: a diff or a chat, and up to three answers to it side by side.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, ask } from "../api";
import { Check, Trouble } from "../parts/common";
import { EvidencePanel } from "../parts/evidence";
import { useLatest, useLoaded } from "../hooks";
import { carryOut, finalText, type Run, type Said, type Wish } from "../run";
import type { Contract, Evidence, List, Model } from "../shapes";
import { plural } from "../words";
import { SAMPLE } from "../sample";
import { Lane, LaneWish, type Offered } from "./lane";

const MOST_LANES = 3;
const PAINT_MS = 60;
const OWN: Record<string, string> = {
  firstpass: "firstpass (draft, check, verify)",
  local: "local (the draft alone)",
  strong: "strong (the verifier alone)",
};

/** What a conversation that goes on brings along. */
export interface Continued {
  session: string;
  said: Said[];
  /** Whether the session has older messages than these. */
  more: boolean;
  wish: Partial<Wish>;
}

type Kind = "diff" | "chat";

const isDiff = (text: string): boolean => /^(diff --git |--- |Index: )/m.test(text);

function useOffered(): { offered: Offered; error: ApiError | null; again: () => void; ready: Contract[] } {
  const models = useLoaded((signal) => ask<List<Model>>("/v1/models", { signal }), []);
  const contracts = useLoaded((signal) => ask<List<Contract>>("/v1/contracts", { signal }), []);
  const names = models.value?.data.map((model) => model.id) ?? ["firstpass"];
  const found = contracts.value?.data ?? [];
  return {
    offered: {
      models: names.map((value) => ({ value, label: OWN[value] ?? value })),
      contracts: [{ value: "", label: "none: a plain answer" }, ...newestFirst(found).map((one) => ({ value: one.id, label: one.id }))],
    },
    error: models.error ?? contracts.error,
    again: () => {
      models.again();
      contracts.again();
    },
    ready: found,
  };
}

const version = (contract: Contract): number => Number(contract.id.split("@")[1] ?? 0);

const newestFirst = (contracts: Contract[]): Contract[] =>
  [...contracts].sort((a, b) => a.name.localeCompare(b.name) || version(b) - version(a));

export function Playground(given: {
  continued: Continued | null;
  onSaid: (said: Said[]) => void;
  onLeave: () => void;
}): JSX.Element {
  const { continued, onLeave } = given;
  const [kind, setKind] = useState<Kind>("diff");
  const [texts, setTexts] = useState<Record<Kind, string>>({ diff: "", chat: "" });
  const [wishes, setWishes] = useState<Wish[]>([{ model: "firstpass", contract: "", egress: "" }]);
  const [flags, setFlags] = useState({ heat: true, optimistic: true, store: true });
  const [runs, setRuns] = useState<Run[]>([]);
  const [evidence, setEvidence] = useState<Evidence | ApiError | null>(null);
  const newest = useRef<Run[]>([]);
  const painting = useRef(0);
  const ending = useRef<AbortController | null>(null);
  const latest = useLatest(continued);
  const { offered, error, again, ready } = useOffered();

  useEffect(() => {
    const wanted = newestFirst(ready).find((one) => one.name === "pr-summary");
    if (wanted && kind === "diff") setWishes((all) => all.map((wish) => ({ ...wish, contract: wish.contract || wanted.id })));
  }, [ready.length]);
  useEffect(() => {
    if (!continued) return;
    setKind("chat");
    setRuns((newest.current = []));
    setWishes((all) => [{ ...all[0]!, contract: "", ...continued.wish }]);
  }, [continued?.session, continued?.wish]);

  const choose = (next: Kind): void => {
    setKind(next);
    const contract = next === "diff" ? (newestFirst(ready).find((one) => one.name === "pr-summary")?.id ?? "") : "";
    setWishes((all) => all.map((wish) => ({ ...wish, contract })));
  };
  const text = texts[kind];
  const busy = runs.some((run) => run.phase === "waiting" || run.phase === "writing");

  const start = (): void => {
    if (!text.trim() || busy) return;
    ending.current?.abort();
    const until = new AbortController();
    ending.current = until;
    const before = kind === "chat" && continued ? continued.said : [];
    const messages = [...before, { role: "user", content: text }];
    const session = kind === "chat" && continued ? continued.session : "";
    setEvidence(null);
    setRuns((newest.current = []));
    if (isDiff(text)) void known(text, until.signal).then((found) => until.signal.aborted || setEvidence(found));
    const goesOn = continued;
    wishes.forEach((wish, number) => {
      void carryOut({ wish, messages, session, ...flags }, until.signal, (run) => {
        if (ending.current === until) show(number, run);
      }).then((run) => {
        const answered = session && number === 0 && run.phase === "done" && goesOn === latest.current;
        if (answered) given.onSaid([...messages, { role: "assistant", content: finalText(run) }]);
      });
    });
  };
  /** What is written is painted some times a second, however fast it comes; all else at once. */
  const show = (number: number, run: Run): void => {
    newest.current = Object.assign([...newest.current], { [number]: run });
    const paint = (): void => {
      window.clearTimeout(painting.current);
      painting.current = 0;
      setRuns(newest.current);
    };
    if (run.phase !== "writing") paint();
    else painting.current ||= window.setTimeout(paint, PAINT_MS);
  };
  const stop = (): void => ending.current?.abort();

  return (
    <div class={`playground${wishes.length > 1 ? " beside" : ""}`}>
      <h1>Playground</h1>
      <Trouble error={error} again={again} />
      <form
        class="input card"
        aria-label="What to ask"
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            start();
          }
        }}
      >
        <div class="row">
          <div class="tabs" role="group" aria-label="Kind of input">
            <button type="button" aria-pressed={kind === "diff"} onClick={() => choose("diff")}>
              Diff
            </button>
            <button type="button" aria-pressed={kind === "chat"} onClick={() => choose("chat")}>
              Chat
            </button>
          </div>
          {kind === "diff" ? (
            <button type="button" class="quiet" onClick={() => setTexts({ ...texts, diff: SAMPLE })}>
              Take a sample
            </button>
          ) : null}
        </div>
        {kind === "chat" && continued ? <Before continued={continued} onLeave={onLeave} /> : null}
        <label class="field">
          <span>{kind === "diff" ? "Diff, as git writes it" : "Message"}</span>
          <textarea
            id="input"
            class={kind}
            rows={kind === "diff" ? (wishes.length > 1 ? 9 : 14) : 6}
            value={text}
            spellcheck={kind === "chat"}
            onInput={(event) => setTexts({ ...texts, [kind]: event.currentTarget.value })}
          />
        </label>
        <div class="wishes">
          {wishes.map((wish, number) => (
            <LaneWish
              key={number}
              wish={wish}
              number={number + 1}
              alone={wishes.length === 1}
              offered={offered}
              busy={busy}
              onChange={(next) => setWishes(wishes.map((one, at) => (at === number ? next : one)))}
              onRemove={() => {
                setWishes(wishes.filter((_, at) => at !== number));
                setRuns((newest.current = runs.filter((_, at) => at !== number)));
              }}
            />
          ))}
        </div>
        <div class="row">
          <Check label="Token heat" checked={flags.heat} title="Ask for log-probabilities" onChange={(heat) => setFlags({ ...flags, heat })} />
          <Check
            label="Show while it is written"
            checked={flags.optimistic}
            title="Optimistic: the draft is shown before it is checked"
            onChange={(optimistic) => setFlags({ ...flags, optimistic })}
          />
          <Check
            label="Keep the words"
            checked={flags.store}
            title="Off: the record keeps no word of it"
            onChange={(store) => setFlags({ ...flags, store })}
          />
        </div>
        <div class="row actions">
          <button type="submit" class="main" disabled={busy || !text.trim()}>
            {wishes.length > 1 ? `Ask all ${wishes.length}` : "Ask"} <kbd>Ctrl ⏎</kbd>
          </button>
          {busy ? (
            <button type="button" onClick={stop}>
              Stop
            </button>
          ) : null}
          {wishes.length < MOST_LANES ? (
            <button type="button" onClick={() => setWishes([...wishes, wishes.at(-1)!])}>
              Compare with another
            </button>
          ) : null}
        </div>
      </form>
      <section class="output" aria-label="Answers">
        {evidence ? (
          <aside class="card known" aria-label="Evidence">
            <h2>What code knows of this diff</h2>
            {evidence instanceof ApiError ? <Trouble error={evidence} /> : <EvidencePanel evidence={evidence} />}
          </aside>
        ) : null}
        <div class={`lanes lanes${runs.length}`}>
          {runs.map((run, number) => (
            <Lane
              key={number}
              run={run}
              number={number + 1}
              alone={runs.length === 1}
              heat={flags.heat}
              compared={number > 0 && runs[0]?.phase === "done" ? finalText(runs[0]) : null}
            />
          ))}
        </div>
        {!runs.length ? <Hint kind={kind} /> : null}
      </section>
    </div>
  );
}

async function known(diff: string, signal: AbortSignal): Promise<Evidence | ApiError> {
  try {
    return await ask<Evidence>("/v1/evidence", { method: "POST", body: { diff }, signal });
  } catch (error) {
    return error instanceof ApiError ? error : new ApiError(0, "page", String(error));
  }
}

function Before({ continued, onLeave }: { continued: Continued; onLeave: () => void }): JSX.Element {
  return (
    <div class="before">
      <p class="row">
        <span>
          Goes on with session <code>{continued.session}</code>, {continued.more ? "its newest " : ""}
          {plural(continued.said.length, "message")}
        </span>
        <button type="button" class="quiet" onClick={onLeave}>
          Leave it
        </button>
      </p>
      <ol class="turns">
        {continued.said.slice(-4).map((one, number) => (
          <li key={number}>
            <strong>{one.role}</strong> {one.content.slice(0, 300)}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Hint({ kind }: { kind: Kind }): JSX.Element {
  return (
    <div class="hint">
      {kind === "diff" ? (
        <p>
          Paste a diff, or take the sample. Beside the answer you will see what code knows of it, which checks it failed,
          and what left this machine.
        </p>
      ) : (
        <p>Write a message. A plain answer is not checked; with a contract it is.</p>
      )}
    </div>
  );
}
