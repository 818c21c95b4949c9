// Sessions: found by their words, read as one conversation, gone on with by another route, model or contract.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { ApiError, ask, query } from "../api";
import { Calls, Empty, RouteBadge, Trouble } from "../parts/common";
import { go, linkTo, useLoaded, useSettled } from "../hooks";
import type { List, Session, Turn } from "../shapes";
import { moment, plural } from "../words";
import type { Continued } from "./playground";

const PAGE = 50;
const POLL_MS = 4000;

export function Sessions({ name, onContinue }: { name: string | null; onContinue: (continued: Continued) => void }): JSX.Element {
  const [words, setWords] = useState("");
  const [before, setBefore] = useState("");
  const q = useSettled(words);
  const { value, error, again } = useLoaded(
    (signal) => ask<List<Session>>(`/v1/sessions${query({ q, before, limit: PAGE })}`, { signal }),
    [q, before],
    POLL_MS,
  );
  const found = value?.data ?? [];
  return (
    <div class={`sessions${name ? " open" : ""}`}>
      <h1>Sessions</h1>
      <section class="list" aria-label="Sessions">
        <form role="search" onSubmit={(event) => event.preventDefault()}>
          <label class="field">
            <span>Search whole words</span>
            <input
              id="search"
              type="search"
              value={words}
              onInput={(event) => {
                setWords(event.currentTarget.value);
                setBefore("");
              }}
            />
          </label>
        </form>
        <Trouble error={error} again={again} />
        {value && !found.length ? (
          <Empty>{q ? "No session has these words." : "No session yet: a request names its own in firstpass.session."}</Empty>
        ) : null}
        <ul class="picks">
          {found.map((one) => (
            <li key={one.place}>
              <a href={linkTo("sessions", one.id)} aria-current={one.id === name ? "true" : undefined}>
                <strong>{one.title || one.id}</strong>
                <span class="fine">
                  {[plural(one.exchanges, "exchange"), one.latest_unix ? moment(one.latest_unix) : "", one.id].filter(Boolean).join(" · ")}
                </span>
              </a>
            </li>
          ))}
        </ul>
        <nav class="pages" aria-label="Pages">
          {before ? (
            <button type="button" onClick={() => setBefore("")}>
              Newest
            </button>
          ) : null}
          {value?.has_more ? (
            <button type="button" onClick={() => setBefore(found.at(-1)!.place)}>
              Older
            </button>
          ) : null}
        </nav>
      </section>
      {name ? <Conversation key={name} name={name} onContinue={onContinue} gone={again} /> : null}
    </div>
  );
}

/** Neither a refusal nor what is damaged is told to a model. */
const wasSaid = (turn: Turn): boolean =>
  turn.role === "assistant" ? turn.route !== null && turn.content !== "" : ["user", "system", "developer"].includes(turn.role);

interface Talk {
  messages: Turn[];
  has_more: boolean;
}

function Conversation(given: { name: string; onContinue: (continued: Continued) => void; gone: () => void }): JSX.Element {
  const { name } = given;
  const [before, setBefore] = useState("");
  const path = `/v1/sessions/${encodeURIComponent(name)}`;
  const { value, error, again } = useLoaded(
    async (signal) => ({ ...(await ask<Talk>(`${path}${query({ before, limit: 100 })}`, { signal })), before }),
    [name, before],
    before ? undefined : POLL_MS,
  );
  const [failed, setFailed] = useState<ApiError | null>(null);
  const asking = useRef<HTMLDialogElement>(null);
  const turns = value?.messages ?? [];
  const last = turns.at(-1);
  const forget = async (): Promise<void> => {
    try {
      await ask(path, { method: "DELETE" });
      given.gone();
      go("sessions");
    } catch (fault) {
      setFailed(fault instanceof ApiError ? fault : new ApiError(0, "page", String(fault)));
    }
  };
  return (
    <section class="talk card" aria-label={`Session ${name}`}>
      <header>
        <p class="back">
          <a href={linkTo("sessions")}>← Sessions</a>
        </p>
        <h2>{name}</h2>
        <div class="row">
          <button
            type="button"
            class="main"
            disabled={!turns.length || before !== "" || value?.before !== ""}
            title={before ? "From its latest messages" : ""}
            onClick={() =>
              given.onContinue({
                session: name,
                more: value?.has_more ?? false,
                said: turns.filter(wasSaid).map(({ role, content }) => ({ role, content })),
                wish: last ? { model: last.model } : {},
              })
            }
          >
            Go on with it
          </button>
          <button type="button" class="danger" onClick={() => asking.current?.showModal()}>
            Forget…
          </button>
        </div>
      </header>
      <Trouble error={error ?? failed} again={again} />
      {value?.has_more && turns[0] ? (
        <button type="button" onClick={() => setBefore(turns[0]!.exchange)}>
          Earlier
        </button>
      ) : null}
      {before ? (
        <button type="button" onClick={() => setBefore("")}>
          Latest
        </button>
      ) : null}
      <ol class="turns">
        {turns.map((turn, number) => (
          <li key={number} class={turn.role}>
            <p class="fine">
              <strong>{turn.role}</strong>{" "}
              {turn.role === "assistant" ? (
                <>
                  <RouteBadge route={turn.route} code={turn.code ?? null} /> {turn.model}
                  {turn.contract ? ` · ${turn.contract}` : ""} ·{" "}
                </>
              ) : null}
              <a href={linkTo("exchanges", turn.exchange)} title={`${turn.exchange}, step by step`}>
                {turn.received_unix ? moment(turn.received_unix) : "step by step"}
              </a>
            </p>
            {turn.content ? <pre>{turn.content}</pre> : null}
            <Calls calls={turn.tool_calls ?? []} />
          </li>
        ))}
      </ol>
      <dialog ref={asking} aria-labelledby="forget-session">
        <h2 id="forget-session">Forget this session?</h2>
        <p>The words of all its exchanges leave the disk for good. Counts, times and receipts stay.</p>
        <form method="dialog" class="row">
          <button type="submit">Keep it</button>
          <button type="submit" class="danger" onClick={() => void forget()}>
            Forget it
          </button>
        </form>
      </dialog>
    </section>
  );
}
