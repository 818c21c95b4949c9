// What the API answers, as far as the page looks at it. The OpenAPI document at /openapi.json has all of it.

export type Route = "draft" | "repaired" | "verified" | "strong" | "unverified";
export type Ceiling = "local-only" | "redacted" | "any";

export interface List<T> {
  data: T[];
  has_more?: boolean;
}

export interface Standing {
  engine: string;
  state: "available" | "loading" | "loaded" | "sleeping" | "unloading";
  memory_bytes: number;
  in_flight: number;
  waiting: number;
  pinned: boolean;
  idle_seconds: number | null;
}

export interface Model {
  id: string;
  firstpass?: Standing | null;
}

export interface Contract {
  id: string;
  name: string;
  summary: string;
  reads: "diff" | "anything";
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export interface Finding {
  check: string;
  severity: "fail" | "note";
  message: string;
  section?: string | null;
  subject?: string | null;
  value?: number | null;
}

export interface Gate {
  gate: string;
  score: number;
  accept_from: number | null;
  accepted: boolean;
  by: string;
  risk: number;
  confidence: number;
  audit: boolean;
}

export interface Receipt {
  host: string;
  sent_unix: number;
  bytes: number;
  sha256: string;
  redacted: Record<string, number>;
  path?: string | null;
  model?: string | null;
  ceiling?: string | null;
  number?: number | null;
  leaf?: string | null;
}

export interface HowStep {
  tier: string;
  purpose: string;
  rule: string | null;
  model: string | null;
  seconds: number | null;
  first_token_seconds: number | null;
  checks_seconds: number | null;
  usage: Usage | null;
  finish_reason: string | null;
  failed_checks: number;
  signals: Record<string, number>;
  failure: string | null;
}

export interface How {
  exchange: string;
  route: Route;
  contract: string | null;
  findings: Finding[];
  gate: Gate | null;
  steps: HowStep[];
  receipts: Receipt[];
  seconds: number | null;
  verdict?: "kept" | "replaced";
  text?: string;
}

export interface Token {
  token: string;
  logprob: number;
}

export interface Evidence {
  files: { path: string; kind: string; verb: string; old_path: string | null; added_lines: number; removed_lines: number }[];
  languages: string[];
  calls: string[];
  perhaps_calls: string[];
  removed_calls: string[];
  todos: string[];
  terms: { text: string; weight: number; sign: string; code: boolean }[];
  phrases: string[];
  suspects: { kind: string; path: string; line: number | null; old_line: number | null; text: string; weight: number }[];
  unread: { path: string; why: string }[];
  notes: string[];
  left_out: Record<string, number>;
}

export interface Outline {
  object: "exchange.outline";
  id: string;
  received_unix: number;
  model: string;
  contract: string | null;
  session: string | null;
  route: Route | null;
  status: number;
  code: string | null;
  seconds: number | null;
  prompt_tokens: number;
  completion_tokens: number;
  failed: number;
  receipts: number;
  title: string;
  key: string | null;
  shadows: string | null;
  stored: boolean;
}

export interface Damaged {
  object: "exchange.damaged";
  id: string;
  why: string;
}

export interface Reply {
  text: string;
  model: string;
  finish_reason: string | null;
  usage: Usage | null;
  seconds: number;
  first_token_seconds: number | null;
  logprobs: Token[];
  reasoning?: { text: string } | null;
  tool_calls?: ToolCall[];
}

export interface ToolCall {
  name: string;
  arguments: string;
}

export interface Message {
  role: string;
  content: string;
  name?: string | null;
  tool_calls?: ToolCall[];
  tool_failed?: boolean;
  reasoning?: { text: string } | null;
  images?: { media_type: string; data: string }[];
}

export interface Step {
  move: { tier: string; purpose: string; rule?: string | null; step?: number; binding?: boolean };
  reply: Reply | null;
  failure: { message: string; code: string; status: number; part: string } | null;
  findings: Finding[];
  receipt: Receipt | null;
  refused: Receipt[];
  streamed: boolean;
  edited: string | null;
  signals: Record<string, number>;
  checks_seconds: number | null;
}

export interface Exchange {
  ask: {
    id: string;
    received_unix: number;
    model: string;
    target: string;
    contract: string | null;
    ceiling: Ceiling;
    session: string | null;
    repository: string | null;
    settings: string | null;
    experiment: string | null;
    arm: string | null;
    key: string | null;
    store: boolean;
    shadows: string | null;
    messages: Message[];
  };
  steps: Step[];
  ending: { step?: number; route?: Route; judged?: Gate | null; failure?: { message: string; code: string; status: number } } | null;
  seconds: number | null;
}

export interface Label {
  verdict: "accept" | "reject" | "edit";
  source: string;
  made_unix: number;
  text: string | null;
}

export interface Found {
  exchange: Exchange;
  labels: Label[];
  told: string[];
}

export interface Session {
  id: string;
  place: string;
  begun_unix: number | null;
  latest_unix: number | null;
  exchanges: number;
  title: string;
}

export interface Turn {
  role: string;
  content: string;
  exchange: string;
  model: string;
  route: Route | null;
  contract: string | null;
  code?: string | null;
  tool_calls?: ToolCall[];
  received_unix?: number;
}

export interface KeyUsage {
  key: string | null;
  name: string | null;
  requests: number;
  refused: number;
  prompt_tokens: number;
  completion_tokens: number;
  usd: number | null;
}

export interface ResultOutline {
  object: string;
  id: string;
  kind: "eval" | "bench";
  made_unix: number | null;
  arms: string[];
  why?: string;
}

export interface Figure {
  value: number | null;
  low: number | null;
  high: number | null;
}
