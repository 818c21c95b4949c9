// A text with layers over it: how sure each token was, what findings are about, what another answer has otherwise.
// Every piece is a text node; nothing of it is ever read as markup.
import type { JSX } from "preact";
import { diffWordsWithSpace } from "diff";
import type { Finding, Token } from "../shapes";

export interface Layer {
  begin: number;
  end: number;
  kind: string;
  title?: string;
}

const MOST_COMPARED = 20_000;
/** Of each text, in characters. */
const MOST_MARKS = 500;

const SURE = [0.95, 0.8, 0.55, 0.3];

export const heat = (logprob: number): number => {
  const at = SURE.findIndex((least) => Math.exp(logprob) >= least);
  return at === -1 ? SURE.length : at;
};

const MOST_LOST = 8;
/** Characters of a text that a token may not be written as: half a character is no text. */

/** Empty where the tokens are not the text's own. What comes behind its end, such as the token that ends it, is left. */
export function heatLayers(text: string, tokens: readonly Token[]): Layer[] {
  const layers: Layer[] = [];
  let at = 0;
  for (const { token, logprob } of tokens) {
    if (at >= text.length) break;
    if (token === "" || token.includes("\ufffd")) continue;
    const rest = text.slice(at, at + token.length + MOST_LOST);
    const begin = token.startsWith(rest) ? at : at + rest.indexOf(token);
    if (begin < at) return [];
    const end = Math.min(begin + token.length, text.length);
    layers.push({
      begin,
      end,
      kind: `heat${heat(logprob)}`,
      title: `probability ${(100 * Math.exp(logprob)).toFixed(1)}%, log ${logprob.toFixed(3)}`,
    });
    at = end;
  }
  return at >= text.trimEnd().length ? layers : [];
}

export function findingLayers(text: string, findings: readonly Finding[]): Layer[] {
  const layers: Layer[] = [];
  for (const finding of findings) {
    const subject = finding.subject ?? "";
    if (subject.length < 2) continue;
    for (let at = text.indexOf(subject); at !== -1 && layers.length < MOST_MARKS; at = text.indexOf(subject, at + 1)) {
      layers.push({ begin: at, end: at + subject.length, kind: `found ${finding.severity}`, title: finding.message });
    }
  }
  return layers;
}

/** What `text` has otherwise than `other`. */
export function differenceLayers(text: string, other: string): Layer[] {
  if (text === other || text.length > MOST_COMPARED || other.length > MOST_COMPARED) return [];
  const layers: Layer[] = [];
  let at = 0;
  for (const part of diffWordsWithSpace(other, text, { timeout: 200 }) ?? []) {
    if (part.removed) continue;
    if (part.added && part.value.trim()) {
      layers.push({ begin: at, end: at + part.value.length, kind: "differs", title: "not so in the first answer" });
    }
    at += part.value.length;
  }
  return layers;
}

export function Marked({ text, layers }: { text: string; layers: readonly Layer[] }): JSX.Element {
  const edges = [...new Set([0, text.length, ...layers.flatMap((layer) => [layer.begin, layer.end])])].sort((a, b) => a - b);
  const ordered = [...layers].sort((a, b) => a.begin - b.begin);
  const pieces: JSX.Element[] = [];
  let first = 0;
  for (let number = 0; number + 1 < edges.length; number += 1) {
    const [begin, end] = [edges[number]!, edges[number + 1]!];
    while (first < ordered.length && ordered[first]!.end <= begin) first += 1;
    const over: Layer[] = [];
    for (let at = first; at < ordered.length && ordered[at]!.begin <= begin; at += 1) {
      if (ordered[at]!.end >= end) over.push(ordered[at]!);
    }
    const said = text.slice(begin, end);
    if (!over.length) pieces.push(<span key={begin}>{said}</span>);
    else {
      const title = over.flatMap((layer) => (layer.title ? [layer.title] : [])).join("\n");
      const Tag = over.some((layer) => !layer.kind.startsWith("heat")) ? "mark" : "span";
      pieces.push(
        <Tag key={begin} class={over.map((layer) => layer.kind).join(" ")} title={title}>
          {said}
        </Tag>,
      );
    }
  }
  return <div class="answer">{pieces}</div>;
}

export function HeatLegend(): JSX.Element {
  const names = ["≥ 95%", "≥ 80%", "≥ 55%", "≥ 30%", "less"];
  return (
    <p class="legend">
      Token probability
      {names.map((name, level) => (
        <span key={name} class={`heat${level}`}>
          {name}
        </span>
      ))}
    </p>
  );
}
