// Small pieces that every view is made of. They know no request.
import type { ComponentChildren, JSX } from "preact";
import { useErrorBoundary, useState } from "preact/hooks";
import type { ApiError } from "../api";
import type { Route, ToolCall } from "../shapes";

const MEANING: Record<Route, string> = {
  draft: "The local draft as it is; a contract's checks passed it",
  repaired: "Code mended the draft",
  verified: "A verifier corrected or confirmed the draft",
  strong: "The verifier answered alone",
  unverified: "No check vouches for this answer",
};

export function RouteBadge({ route, code }: { route: Route | null | undefined; code?: string | null }): JSX.Element {
  if (!route) return <span class="badge refused">{code ?? "refused"}</span>;
  return (
    <span class={`badge ${route}`} title={MEANING[route]}>
      {route}
    </span>
  );
}

export function Trouble({ error, again }: { error: ApiError | null; again?: () => void }): JSX.Element | null {
  if (!error) return null;
  const where = error.param ? ` (${error.param})` : "";
  return (
    <div class="trouble" role="alert">
      <span>
        {error.message}
        {where}
      </span>
      {again ? (
        <button type="button" onClick={again}>
          Try again
        </button>
      ) : null}
    </div>
  );
}

/** Tools that a model called, with what it gave them. */
export function Calls({ calls }: { calls: readonly ToolCall[] }): JSX.Element | null {
  if (!calls.length) return null;
  return (
    <ul class="plain calls">
      {calls.map((call, number) => (
        <li key={number}>
          <span class="fine">calls</span> <code>{call.name}</code>
          <pre>{call.arguments}</pre>
        </li>
      ))}
    </ul>
  );
}

/** A view that can not show what it was given says so, and the others go on. */
export function Guarded({ children }: { children: ComponentChildren }): JSX.Element {
  const [error] = useErrorBoundary();
  if (!error) return <>{children}</>;
  return (
    <div class="trouble" role="alert">
      This can not be shown: the server has sent what the page does not know.
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** Where the browser gives no clipboard, as over plain HTTP from another machine, the text itself is shown. */
export function Copy({ text, children }: { text: string; children: ComponentChildren }): JSX.Element {
  const [done, setDone] = useState(false);
  const [shown, setShown] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      setShown(true);
      return;
    }
    setDone(true);
    window.setTimeout(() => setDone(false), 1500);
  };
  if (shown) return <code class="digest">{text}</code>;
  return (
    <button type="button" class="quiet" onClick={() => void copy()} title={text}>
      {done ? "Copied" : children}
    </button>
  );
}

export interface Option {
  value: string;
  label: string;
}

export function Choice(given: {
  label: string;
  value: string;
  options: Option[];
  onChange: (value: string) => void;
  disabled?: boolean;
}): JSX.Element {
  const there = given.options.some((option) => option.value === given.value);
  return (
    <label class="field">
      <span>{given.label}</span>
      <select
        value={given.value}
        disabled={given.disabled ?? false}
        onChange={(event) => given.onChange(event.currentTarget.value)}
      >
        {there ? null : <option value={given.value}>{given.value}</option>}
        {given.options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Check(given: {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  title?: string;
}): JSX.Element {
  return (
    <label class="check" title={given.title ?? ""}>
      <input type="checkbox" checked={given.checked} onChange={(event) => given.onChange(event.currentTarget.checked)} />
      {given.label}
    </label>
  );
}
