// What code knows of a diff, before any model has said a word.
import type { ComponentChildren, JSX } from "preact";
import type { Evidence } from "../shapes";
import { plural } from "../words";

export function EvidencePanel({ evidence }: { evidence: Evidence }): JSX.Element {
  const { files } = evidence;
  if (!files.length) return <p class="fine">This text is no diff: code knows nothing of it.</p>;
  const [added, removed] = [sum(files.map((file) => file.added_lines)), sum(files.map((file) => file.removed_lines))];
  return (
    <div class="evidence">
      <p class="fine">
        {plural(files.length + (evidence.left_out["files"] ?? 0), "file")}
        {evidence.left_out["files"] ? `, of which ${files.length} are listed` : ""}, <span class="plus">+{added}</span> <span class="minus">−{removed}</span>
        {evidence.languages.length ? `, ${evidence.languages.join(", ")}` : ""}
      </p>
      <Part title="New calls" names={evidence.calls} more={evidence.left_out["calls"]} none="none" />
      <Part title="May be new calls" names={evidence.perhaps_calls} more={evidence.left_out["perhaps_calls"]} />
      <Listed title="New TODOs" items={evidence.todos} none="none" />
      <Terms evidence={evidence} />
      <Suspects evidence={evidence} />
      <Listed
        title="Not read"
        items={[...evidence.unread.map((one) => `${one.path}: ${one.why}`), ...evidence.notes]}
      />
      <details>
        <summary>Files</summary>
        <ul class="plain">
          {files.map((file) => (
            <li key={file.path}>
              <code>{file.path}</code> <span class="fine">{file.verb}</span> <span class="plus">+{file.added_lines}</span>{" "}
              <span class="minus">−{file.removed_lines}</span>
            </li>
          ))}
        </ul>
      </details>
    </div>
  );
}

const sum = (numbers: number[]): number => numbers.reduce((all, one) => all + one, 0);

function Section({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <section>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Part(given: { title: string; names: string[]; more?: number | undefined; none?: string }): JSX.Element | null {
  if (!given.names.length && given.none === undefined) return null;
  return (
    <Section title={given.title}>
      {given.names.length ? (
        <p class="chips">
          {given.names.map((name) => (
            <code key={name}>{name}()</code>
          ))}
          {given.more ? <span class="fine">and {given.more} more</span> : null}
        </p>
      ) : (
        <p class="fine">{given.none}</p>
      )}
    </Section>
  );
}

function Listed(given: { title: string; items: string[]; none?: string }): JSX.Element | null {
  if (!given.items.length && given.none === undefined) return null;
  return (
    <Section title={given.title}>
      {given.items.length ? (
        <ul class="plain">
          {given.items.map((item, number) => (
            <li key={number}>{item}</li>
          ))}
        </ul>
      ) : (
        <p class="fine">{given.none}</p>
      )}
    </Section>
  );
}

function Terms({ evidence }: { evidence: Evidence }): JSX.Element | null {
  if (!evidence.terms.length) return null;
  return (
    <Section title="Most telling terms">
      <p class="chips">
        {evidence.terms.slice(0, 14).map((term) => (
          <span key={term.text} class={term.sign === "+" ? "term plus" : term.sign === "-" ? "term minus" : "term"}>
            {term.text}
          </span>
        ))}
      </p>
    </Section>
  );
}

function Suspects({ evidence }: { evidence: Evidence }): JSX.Element | null {
  if (!evidence.suspects.length) return null;
  return (
    <Section title="A reviewer should look at">
      <ul class="findings">
        {evidence.suspects.map((one, number) => (
          <li key={number} class={one.weight >= 50 ? "fail" : "note"}>
            <span class="kind">{one.kind}</span>
            <span>
              <code>
                {one.path}
                {one.line === null ? "" : `:${one.line}`}
              </code>{" "}
              {one.text}
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
