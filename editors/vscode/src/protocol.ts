/**
 * What goes between Ropeway's server and this client beyond plain LSP: names and shapes of the contract.
 *
 * Everything that the server leaves out while it has not measured it is optional here, so that the compiler makes us
 * say what is shown instead.
 */

export const RUN = 'ropeway.run';
export const CANCEL = 'ropeway.cancel';
export const ACCEPT = 'ropeway.accept';
export const REJECT = 'ropeway.reject';
export const REVERT = 'ropeway.revert';
export const COMPACT = 'ropeway.compact';
export const CLEAR = 'ropeway.clear';
export const STATS = 'ropeway.stats';
export const REPORT = 'ropeway.report';
export const DUMP = 'ropeway.dump';
export const THREADS = 'ropeway.threads';
export const LIST_MODELS = 'ropeway.listModels';
export const SET_MODEL = 'ropeway.setModel';

export type State = 'idle' | 'thinking' | 'acting' | 'waiting' | 'applying' | 'error';

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

/** `ropeway/status`. */
export interface Status {
  state: State;
  model?: string;
  runs: { runId: string; title: string; step: number; phase: string }[];
  tokens: { input: number; cached: number; output: number; context: number; window: number };
  costUsd: { run: number; session: number };
  latencyMs: { firstToken: Percentiles; tool: Percentiles; request: Percentiles };
  cacheHitRate: { files?: number; tokens?: number; tools?: number; config?: number; responses?: number };
  tools: { running: number; peak: number; done: number; failed: number };
  http: { reuseRate?: number };
  /** Time won by tools that ran while the answer arrived, and beside each other. */
  wonMs?: { stream: number; parallel: number };
  /** Processor time of the server, and its share of one core of late. */
  cpu?: { ms: number; share?: number };
  rssBytes: number;
  uptimeMs: number;
}

export interface ConflictPlace {
  line: number;
  endLine: number;
  wanted: string;
}

export type OutcomeStatus =
  | 'applied'
  | 'proposed'
  | 'answered'
  | 'unchanged'
  | 'conflict'
  | 'unknown'
  | 'cancelled'
  | 'failed';

/** What a run came to. */
export interface Outcome {
  runId: string;
  threadId: string;
  status: OutcomeStatus;
  answer: string;
  files: { uri: string; edits: number; conflicts: ConflictPlace[] }[];
  steps: number;
  usage: { inputTokens: number; cachedTokens: number; outputTokens: number; costUsd?: number };
  timing: { totalMs: number; modelMs: number; toolMs: number; overlapMs: number };
  error?: { code: string; message: string; hint: string };
}

interface Happened {
  runId: string;
  seq: number;
  at: number;
}

interface OfCall {
  callId: string;
  tool: string;
  summary: string;
  batch: number;
}

/** `ropeway/event`. Kinds of a newer server arrive as well and are passed over. */
export type RunEvent = Happened &
  (
    | { kind: 'started'; title: string; model: string; threadId?: string }
    | { kind: 'text'; delta: string }
    | ({ kind: 'toolStarted'; waitedMs?: number; beside?: number } & OfCall)
    | { kind: 'toolOutput'; callId: string; delta: string }
    | ({ kind: 'toolFinished'; cached: boolean; ms: number; error?: string } & OfCall)
    | { kind: 'staged'; uri: string; diff: string }
    | { kind: 'approval'; message: string; answer?: string }
    | { kind: 'compacted'; before?: { tokens: number }; after?: { tokens: number } }
    | { kind: 'retry'; attempt: number; waitMs: number; why: string }
    | { kind: 'prefixBroken'; why: string }
    | ({ kind: 'finished' } & Outcome)
  );

/** An entry of `ropeway.threads`: a conversation, perhaps of an earlier session. */
export interface ListedThread {
  threadId: string;
  title: string;
  when: number;
  model: string;
  runs: number;
  status?: string;
  live: boolean;
}

/** A message of a conversation, as `ropeway.dump` has it. */
export interface DumpedMessage {
  role: string;
  tokens?: number;
  text?: string;
  calls?: { tool: string }[];
}

/** An entry of `ropeway.listModels`. */
export interface ListedModel {
  id: string;
  contextWindow?: number;
  price?: { input: number; output: number };
  available: boolean;
  why?: string;
}

/** The argument of `ropeway.run`. */
export interface Order {
  action: string;
  uri?: string;
  range?: { start: { line: number; character: number }; end: { line: number; character: number } };
  prompt?: string;
  thread?: string;
}

export interface Started {
  runId: string;
  threadId: string;
}

/** A question of the server that is put in the view. */
export interface Ask {
  id: number;
  message: string;
  choices: string[];
}

/** What went wrong and what to do about it, in whole sentences. */
export function advice({ message, hint }: NonNullable<Outcome['error']>): string {
  // A message may begin with a provider's name, which is spelled as its user did.
  const advised = hint.charAt(0).toUpperCase() + hint.slice(1);
  return [message, advised].filter((said) => said !== '').map((said) => `${said.replace(/\.$/, '')}.`).join(' ');
}

/** Actions that mean nothing without an instruction; the client asks for it. */
export function needsPrompt(order: Order): boolean {
  return (order.action === 'edit' || order.action === 'task') && !order.prompt;
}

/** What stands in the argument list of `ropeway.run`, if it is an order at all. */
export function asOrder(argument: unknown): Order | undefined {
  const order = argument as Order | null | undefined;
  return typeof order === 'object' && order !== null && typeof order.action === 'string' ? order : undefined;
}
