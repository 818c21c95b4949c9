// The record as a list: the newest as they come, searched and filtered, a page at a time.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, ask, query } from "../api";
import { Choice, Empty, RouteBadge, Trouble } from "../parts/common";
import { go, linkTo, useLatest, useLoaded, useSaid, useSettled } from "../hooks";
import type { Contract, Damaged, List, Model, Outline } from "../shapes";
import { count, moment, plural, seconds, whole } from "../words";

type Row = Outline | Damaged;

const PAGE = 50;
const MOST_ROWS = 200;
/** The oldest of a live list go when there are more. */
const POLL_MS = 2000;
const ROUTES = ["draft", "repaired", "verified", "strong", "unverified"];
const STATUSES = ["200", "400", "403", "404", "429", "500", "502", "503", "504"];

export interface Filters {
  q: string;
  route: string;
  model: string;
  contract: string;
  status: string;
  session: string;
}

const NAMES = ["q", "route", "model", "contract", "status", "session", "before"] as const;

const any = (values: string[]): { value: string; label: string }[] => [
  { value: "", label: "any" },
  ...values.map((value) => ({ value, label: value })),
];

export function Exchanges(): JSX.Element {
  const [said, say] = useSaid(NAMES);
  const settled = useSettled(said);
  const { before, ...filters } = said as unknown as Filters & { before: string };
  const { before: from, ...wanted } = settled as unknown as Filters & { before: string };
  const turn = (to: string): void => {
    say({ ...filters, before: to }, true);
    window.scrollTo(0, 0);
  };
  return (
    <div class="exchanges">
      <h1>Exchanges</h1>
      <Filtering filters={filters} onChange={(next) => say({ ...next, before: "" }, before !== "")} />
      <Page filters={wanted} before={from} onPage={turn} />
    </div>
  );
}

function Filtering({ filters, onChange }: { filters: Filters; onChange: (filters: Filters) => void }): JSX.Element {
  const models = useLoaded((signal) => ask<List<Model>>("/v1/models", { signal }), []);
  const contracts = useLoaded((signal) => ask<List<Contract>>("/v1/contracts", { signal }), []);
  const set = (name: keyof Filters) => (value: string) => onChange({ ...filters, [name]: value });
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <label class="field grow">
        <span>Search whole words</span>
        <input id="search" type="search" value={filters.q} onInput={(event) => set("q")(event.currentTarget.value)} />
      </label>
      <Choice label="Route" value={filters.route} options={any(ROUTES)} onChange={set("route")} />
      <Choice label="Model" value={filters.model} options={any(models.value?.data.map((one) => one.id) ?? [])} onChange={set("model")} />
      <Choice
        label="Contract"
        value={filters.contract}
        options={any(contracts.value?.data.map((one) => one.id) ?? [])}
        onChange={set("contract")}
      />
      <Choice label="Status" value={filters.status} options={any(STATUSES)} onChange={set("status")} />
      <label class="field">
        <span>Session</span>
        <input type="text" value={filters.session} onInput={(event) => set("session")(event.currentTarget.value)} />
      </label>
    </form>
  );
}

function Page({ filters, before, onPage }: { filters: Filters; before: string; onPage: (before: string) => void }): JSX.Element {
  const asked = { ...filters, limit: PAGE };
  const wanted = query({ ...asked, before });
  const first = useLoaded(
    async (signal) => ({ ...(await ask<List<Row>>(`/v1/exchanges${wanted}`, { signal })), wanted }),
    [wanted],
  );
  const [added, setAdded] = useState<Added>(NOTHING);
  const newest = added.to === first.value ? added : NOTHING;
  const rows = [...newest.rows, ...(first.value?.data ?? [])].slice(0, MOST_ROWS);
  const fresh = newest.fresh;
  // What is still shown of an earlier search is followed by nothing.
  const lost = useNewer(before === "" && first.value?.wanted === wanted, rows, asked, first.again, (newer) => {
    const all = [...newer, ...newest.rows].slice(0, MOST_ROWS);
    setAdded({ to: first.value, rows: all, fresh: new Set(newer.map((row) => row.id)) });
  });
  const last = rows.at(-1);
  return (
    <>
      <Trouble error={first.error ?? lost} again={first.again} />
      {first.value && !rows.length ? <Empty>{before ? "No older ones." : "No exchange is like that."}</Empty> : null}
      {rows.length ? <Table rows={rows} fresh={fresh} /> : null}
      <nav class="pages" aria-label="Pages">
        {before ? (
          <button type="button" onClick={() => onPage("")}>
            Newest
          </button>
        ) : (
          <span class="fine live">{first.value && !lost ? `${plural(rows.length, "exchange")} shown, new ones come by themselves` : first.error || lost ? "" : "…"}</span>
        )}
        {last && (first.value?.has_more || rows.length > PAGE) ? (
          <button type="button" onClick={() => onPage(last.id)}>
            Older
          </button>
        ) : null}
      </nav>
    </>
  );
}

/** What has come since the first look, `to`. */
interface Added {
  to: unknown;
  rows: Row[];
  fresh: ReadonlySet<string>;
}

const NOTHING: Added = { to: null, rows: [], fresh: new Set() };

/** Asks for what is newer than the first row, as long as the tab is visible. Where that is more than a page, for all.

Gives why the server refuses, if it does; that it is away is what the banner says. One look follows the other's end. */
function useNewer(
  live: boolean,
  rows: Row[],
  asked: Record<string, string | number>,
  again: () => void,
  add: (newer: Row[]) => void,
): ApiError | null {
  const now = useLatest({ rows, add, asked });
  const [lost, setLost] = useState<ApiError | null>(null);
  useEffect(() => {
    if (!live) return setLost(null);
    const ending = new AbortController();
    const look = async (): Promise<void> => {
      const after = now.current.rows[0]?.id ?? "";
      const { data, has_more } = await ask<List<Row>>(`/v1/exchanges${query({ ...now.current.asked, after })}`, { signal: ending.signal });
      if (ending.signal.aborted) return;
      setLost(null);
      if (has_more && after) return again();
      const known = new Set(now.current.rows.map((row) => row.id));
      const newer = data.filter((row) => !known.has(row.id));
      if (newer.length) now.current.add(newer);
    };
    let timer = 0;
    const next = async (): Promise<void> => {
      if (!document.hidden) {
        await look().catch((fault: unknown) => {
          if (!ending.signal.aborted) setLost(fault instanceof ApiError && fault.status !== 0 ? fault : null);
        });
      }
      if (!ending.signal.aborted) timer = window.setTimeout(() => void next(), POLL_MS);
    };
    timer = window.setTimeout(() => void next(), POLL_MS);
    return () => {
      ending.abort();
      window.clearTimeout(timer);
    };
  }, [live]);
  return lost;
}

function Table({ rows, fresh }: { rows: Row[]; fresh: ReadonlySet<string> }): JSX.Element {
  const body = useRef<HTMLTableSectionElement>(null);
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" || event.key === "j" ? 1 : event.key === "ArrowUp" || event.key === "k" ? -1 : 0;
    if (!step || !body.current) return;
    const links = [...body.current.querySelectorAll<HTMLAnchorElement>("a.title")];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const next = links[Math.max(0, at + step)];
    if (next) {
      next.focus();
      event.preventDefault();
    }
  };
  return (
    <div class="scroll">
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">Asked</th>
            <th scope="col">What</th>
            <th scope="col">Model</th>
            <th scope="col">Contract</th>
            <th scope="col">End</th>
            <th scope="col" class="number">
              Failed
            </th>
            <th scope="col" class="number">
              Tokens
            </th>
            <th scope="col" class="number">
              Took
            </th>
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={move}>
          {rows.map((row) =>
            row.object === "exchange.damaged" ? (
              <tr key={row.id}>
                <td colSpan={8} class="fine">
                  {row.id} is damaged: {row.why}
                </td>
              </tr>
            ) : (
              <Line key={row.id} row={row} fresh={fresh.has(row.id)} />
            ),
          )}
        </tbody>
      </table>
    </div>
  );
}

function Line({ row, fresh }: { row: Outline; fresh: boolean }): JSX.Element {
  const open = (event: MouseEvent): void => {
    if (!(event.target as Element).closest("a")) go("exchanges", row.id);
  };
  return (
    <tr class={fresh ? "fresh" : ""} onClick={open}>
      <td class="time" title={whole(row.received_unix)}>
        {moment(row.received_unix)}
      </td>
      <td class="what">
        <a class="title" href={linkTo("exchanges", row.id)}>
          {row.title || (row.stored ? row.id : "(its words were not kept)")}
        </a>
        {row.session ? <span class="fine"> in {row.session}</span> : null}
        {row.shadows ? <span class="fine"> a shadow</span> : null}
      </td>
      <td>{row.model}</td>
      <td class={row.contract ? "" : "nothing"}>{row.contract ?? <span class="fine">–</span>}</td>
      <td>
        <RouteBadge route={row.route} code={`${row.status} ${row.code ?? ""}`} />
        {row.receipts ? (
          <span class="left" title={`${plural(row.receipts, "request")} left this machine`}>
            ↗
          </span>
        ) : null}
      </td>
      <td class="number" data-unit="failed">{row.failed || <span class="fine">0</span>}</td>
      <td class="number" data-unit="tokens">{count(row.completion_tokens)}</td>
      <td class="number">{seconds(row.seconds)}</td>
    </tr>
  );
}
