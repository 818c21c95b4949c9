// What stands around every view: the bar, the key's field, the theme, the server's state, the list of shortcuts.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, ask, hasKey, onKey, setKey } from "../api";
import { go, linkTo, useLatest, useLoaded } from "../hooks";

export const VIEWS: [string, string, string][] = [
  ["playground", "Playground", "p"],
  ["sessions", "Sessions", "s"],
  ["exchanges", "Exchanges", "x"],
  ["results", "Results", "r"],
  ["engines", "Engines", "e"],
  ["usage", "Usage", "u"],
];

export function Bar({ view, onHelp }: { view: string; onHelp: () => void }): JSX.Element {
  return (
    <header class="bar">
      <a class="brand" href={linkTo("playground")}>
        firstpass
      </a>
      <nav aria-label="Views">
        {VIEWS.map(([name, title]) => (
          <a key={name} href={linkTo(name)} aria-current={view === name ? "page" : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <div class="tools">
        <KeyField />
        <Theme />
        <button type="button" class="quiet" onClick={onHelp} aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)">
          ?
        </button>
      </div>
    </header>
  );
}

function KeyField(): JSX.Element {
  const [set, setSet] = useState(hasKey());
  const [text, setText] = useState("");
  useEffect(() => onKey(() => setSet(hasKey())), []);
  const field = useRef<HTMLInputElement>(null);
  const forget = useRef<HTMLButtonElement>(null);
  const before = useRef(set);
  useEffect(() => {
    if (before.current !== set) (set ? forget : field).current?.focus();
    before.current = set;
  }, [set]);
  if (set) {
    return (
      <button ref={forget} type="button" class="quiet" onClick={() => setKey("")} title="It is kept in this tab's memory alone">
        Forget key
      </button>
    );
  }
  return (
    <form
      class="key"
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        setKey(text);
        setText("");
      }}
    >
      <input
        ref={field}
        id="key"
        type="password"
        autocomplete="off"
        aria-label="API key"
        placeholder="API key"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {text ? <button type="submit">Use</button> : null}
    </form>
  );
}

const THEMES = ["auto", "light", "dark"] as const;
type ThemeName = (typeof THEMES)[number];
const STORED = "firstpass-theme";

const stored = (): ThemeName => THEMES.find((name) => name === window.localStorage.getItem(STORED)) ?? "auto";

function Theme(): JSX.Element {
  const [theme, setTheme] = useState<ThemeName>(stored);
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    window.localStorage.setItem(STORED, theme);
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button type="button" id="theme" class="quiet" onClick={() => setTheme(next)} title={`Theme: ${theme} (t)`}>
      {theme === "auto" ? "Auto" : theme === "light" ? "Light" : "Dark"}
    </button>
  );
}

/** What is wrong with the server, as long as it is; nothing while all is well. */
export function Standing(): JSX.Element | null {
  const [trouble, setTrouble] = useState<ApiError | null>(null);
  const { value, error } = useLoaded(
    async (signal) => {
      try {
        await ask("/readyz", { signal });
        return "ready";
      } catch (fault) {
        if (signal.aborted) throw fault;
        setTrouble(fault instanceof ApiError ? fault : new ApiError(0, "page", String(fault)));
        return "not ready";
      }
    },
    [],
    1500,
  );
  if (value !== "not ready" && !error) return null;
  return (
    <p class="standing" role="status">
      {trouble?.status === 0 ? "The server does not answer; looking again." : `${sentence(trouble?.message ?? "")} Looking again.`}
    </p>
  );
}

const sentence = (text: string): string => (text ? `${text[0]!.toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}` : "");

const SHORTCUTS: [string, string][] = [
  ...VIEWS.map(([, title, key]): [string, string] => [`g ${key}`, title]),
  ["/", "To the search, or to the input"],
  ["j, k", "Next and previous row of the exchanges"],
  ["Enter", "Open the row, press the button"],
  ["Ctrl Enter", "Ask"],
  ["t", "Light, dark, or as the system has it"],
  ["?", "This list"],
  ["Esc", "Close"],
];

export function Help({ open, onClose }: { open: boolean; onClose: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} aria-labelledby="shortcuts" onClose={onClose}>
      <h2 id="shortcuts">Keyboard</h2>
      <dl class="shortcuts">
        {SHORTCUTS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}

const isWriting = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

export function useShortcuts(help: () => void): void {
  const latest = useLatest(help);
  useEffect(() => {
    let leading = false;
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || document.querySelector("dialog[open]")) return;
      const went = leading;
      leading = event.key === "g" && !went;
      if (went) {
        const view = VIEWS.find(([, , key]) => key === event.key);
        if (view) go(view[0]);
      } else if (event.key === "?") latest.current();
      else if (event.key === "t") document.getElementById("theme")?.click();
      else if (event.key === "/") (document.getElementById("search") ?? document.getElementById("input"))?.focus();
      else if (event.key === "j" || event.key === "k") firstRow();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

/** The table itself moves on from there. */
function firstRow(): void {
  const first = document.querySelector<HTMLAnchorElement>("a.title");
  if (first && !(document.activeElement?.closest("tbody") ?? null)) first.focus();
}
