// What several views do: load, poll while somebody looks, know the address. Knows no view.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, onKey } from "./api";

export interface Loaded<T> {
  value: T | null;
  error: ApiError | null;
  again: () => void;
}

const asError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(0, "page", error instanceof Error ? error.message : String(error));

/** Loads at once, again where `depends` or the key change, and every `every` ms while the tab is visible. */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, depends: unknown[], every?: number): Loaded<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [turn, setTurn] = useState(0);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  // What was shown to one key is not shown to the next, nor to none.
  useEffect(
    () =>
      onKey(() => {
        setValue(null);
        again();
      }),
    [again],
  );
  useEffect(() => {
    const ending = new AbortController();
    let timer = 0;
    const once = async (): Promise<void> => {
      try {
        const found = await load(ending.signal);
        if (ending.signal.aborted) return;
        setValue(found);
        setError(null);
      } catch (fault) {
        if (ending.signal.aborted) return;
        setError(asError(fault));
      }
      if (every) timer = window.setTimeout(next, every);
    };
    const next = (): void => {
      if (document.hidden) timer = window.setTimeout(next, 500);
      else void once();
    };
    void once();
    return () => {
      ending.abort();
      window.clearTimeout(timer);
    };
  }, [...depends, turn]);
  return { value, error, again };
}

/** A value once it has not changed for a moment. */
export function useSettled<T>(value: T, after = 60): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(value), after);
    return () => window.clearTimeout(timer);
  }, [value]);
  return settled;
}

const parts = (): string[] =>
  window.location.hash
    .replace(/^#\/?/, "")
    .replace(/\?.*$/, "")
    .split("/")
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });

/** The parts of the address behind its #. */
export function useAddress(): string[] {
  const [address, setAddress] = useState(parts);
  useEffect(() => {
    const changed = (): void => setAddress(parts());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return address;
}

export const go = (...path: string[]): void => {
  window.location.hash = `/${path.map(encodeURIComponent).join("/")}`;
};

/** What the address has behind its ?, which stays with it through a reload and the browser's own way back. */
export function useSaid(names: readonly string[]): [Record<string, string>, (fields: Record<string, string>, step: boolean) => void] {
  const read = (): Record<string, string> => {
    const given = new URLSearchParams(window.location.hash.split("?")[1] ?? "");
    return Object.fromEntries(names.map((name) => [name, given.get(name) ?? ""]));
  };
  const [said, setSaid] = useState(read);
  useEffect(() => {
    const changed = (): void => setSaid(read());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  const say = (fields: Record<string, string>, step: boolean): void => {
    setSaid(fields);
    const given = new URLSearchParams(Object.entries(fields).filter(([, value]) => value));
    const address = `${window.location.hash.split("?")[0]}${given.size ? `?${given}` : ""}`;
    if (step) window.history.pushState(null, "", address);
    else window.history.replaceState(null, "", address);
  };
  return [said, say];
}

export const linkTo = (...path: string[]): string => `#/${path.map(encodeURIComponent).join("/")}`;

/** Always the newest of a function, for what is registered once. */
export function useLatest<T>(value: T): { current: T } {
  const kept = useRef(value);
  kept.current = value;
  return kept;
}
