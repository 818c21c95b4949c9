// The page: which view the address means, and what stands around it.
import { render, type JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { go, useAddress } from "./hooks";
import { Guarded } from "./parts/common";
import { Bar, Help, Standing, VIEWS, useShortcuts } from "./parts/frame";
import { Engines } from "./views/engines";
import { Exchange } from "./views/exchange";
import { Exchanges } from "./views/exchanges";
import { Playground, type Continued } from "./views/playground";
import { Results } from "./views/results";
import { Sessions } from "./views/sessions";
import { Usage } from "./views/usage";

function Page(): JSX.Element {
  const [first, second] = useAddress();
  const view = VIEWS.some(([name]) => name === first) ? first! : "playground";
  const [continued, setContinued] = useState<Continued | null>(null);
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  const moved = useRef(false);
  const played = useRef(false);
  played.current ||= view === "playground";
  useShortcuts(() => setHelp(true));
  useEffect(() => {
    document.title = `${VIEWS.find(([name]) => name === view)![1]} · Firstpass`;
    window.scrollTo(0, 0);
    // What had the focus went with its view: it is at the beginning of the new one, not of the page.
    const focus = window.setTimeout(() => {
      if (moved.current && (document.activeElement ?? document.body) === document.body) main.current?.focus({ preventScroll: true });
      moved.current = true;
    }, 50);
    return () => window.clearTimeout(focus);
  }, [view, second]);
  const goOn = (next: Continued): void => {
    setContinued(next);
    go("playground");
  };
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        To the content
      </a>
      <Bar view={view} onHelp={() => setHelp(true)} />
      <Standing />
      <main ref={main} id="main" tabIndex={-1}>
        {played.current ? (
          <div hidden={view !== "playground"}>
            <Playground
              continued={continued}
              onSaid={(said) => setContinued((now) => now && { ...now, said })}
              onLeave={() => setContinued(null)}
            />
          </div>
        ) : null}
        <Guarded key={view === "exchanges" ? `${view}/${second ?? ""}` : view}>
          {view === "sessions" ? <Sessions name={second || null} onContinue={goOn} /> : null}
          {view === "exchanges" ? second ? <Exchange key={second} id={second} /> : <Exchanges /> : null}
          {view === "results" ? <Results name={second || null} /> : null}
          {view === "engines" ? <Engines /> : null}
          {view === "usage" ? <Usage /> : null}
        </Guarded>
      </main>
      <Help open={help} onClose={() => setHelp(false)} />
    </>
  );
}

render(<Page />, document.getElementById("app")!);
