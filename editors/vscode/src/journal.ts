/**
 * What the runs of this session did, built up from the server's events.
 *
 * The extension keeps one, so that the view can be closed and opened again; the view keeps a copy that it feeds with
 * the same events. Everything is bounded: a model may say and do more than anybody scrolls through.
 */

import type { Outcome, RunEvent } from './protocol';

export const MAX_RUNS = 60;
export const MAX_CALLS = 1000;
export const MAX_TEXT = 200_000;
export const MAX_OUTPUT = 20_000;
export const MAX_DIFF = 100_000;
const MAX_PIECES = 2000;

/** One tool call on the run's clock (milliseconds since the run began). */
export interface Call {
  id: string;
  tool: string;
  summary: string;
  start: number;
  end?: number;
  waitedMs: number;
  /** Calls of the run at work when it began, itself included. */
  beside: number;
  cached: boolean;
  error?: string;
  output: string;
}

/** Calls of one model response. */
export interface Group {
  kind: 'calls';
  batch: number;
  calls: Call[];
}

export type Decision = 'accepted' | 'rejected';

/** What a run shows, in order. */
export type Piece =
  | { kind: 'text'; text: string }
  | Group
  | { kind: 'note'; text: string }
  | { kind: 'approval'; message: string; answer?: string };

export interface Run {
  id: string;
  thread?: string;
  title: string;
  prompt: string;
  model: string;
  /** The run's clock at its last event. */
  at: number;
  pieces: Piece[];
  staged: { uri: string; diff: string }[];
  outcome?: Outcome;
  /** What the user decided about files of a proposal, by URI. */
  decided: Record<string, Decision>;
  takenBack: boolean;
  /** Characters, calls and pieces left out. */
  cut: boolean;
}

export interface Journal {
  runs: Run[];
}

export function emptyJournal(): Journal {
  return { runs: [] };
}

/** What this client knows about a run besides the server's events. */
export interface Known {
  runId: string;
  threadId?: string;
  prompt?: string;
  title?: string;
}

/** The run with this name; made, and the oldest forgotten, if need be. */
function find(journal: Journal, id: string): Run {
  let run = journal.runs.find((other) => other.id === id);
  if (!run) {
    run = { id, title: 'Run', prompt: '', model: '', at: 0, pieces: [], staged: [], decided: {}, takenBack: false, cut: false };
    journal.runs.push(run);
    if (journal.runs.length > MAX_RUNS) {
      const ended = journal.runs.findIndex((other) => other.outcome);
      journal.runs.splice(Math.max(ended, 0), 1);
    }
  }
  return run;
}

/** Adds what the client knows. */
export function know(journal: Journal, known: Known): Run {
  const run = find(journal, known.runId);
  if (known.threadId) run.thread = known.threadId;
  if (known.prompt) run.prompt = known.prompt;
  if (known.title && run.title === 'Run') run.title = known.title;
  return run;
}

/** Takes an event in; the run it belongs to, or nothing if it says nothing that is shown. */
export function apply(journal: Journal, event: RunEvent): Run | undefined {
  if (typeof event.runId !== 'string') return undefined;
  const run = find(journal, event.runId);
  if (Number.isFinite(event.at)) run.at = Math.max(run.at, event.at);
  switch (event.kind) {
    case 'started':
      run.title = event.title;
      run.model = event.model;
      if (event.threadId) run.thread = event.threadId;
      break;
    case 'text':
      addText(run, event.delta);
      break;
    case 'toolStarted': {
      const call = callOf(run, event.callId, event.batch);
      if (call) {
        Object.assign(call, { tool: event.tool, summary: event.summary, start: event.at });
        call.waitedMs = event.waitedMs ?? 0;
        call.beside = event.beside ?? 1;
      }
      break;
    }
    case 'toolOutput': {
      const call = allCalls(run).find((other) => other.id === event.callId);
      if (call) call.output = (call.output + event.delta).slice(-MAX_OUTPUT);
      break;
    }
    case 'toolFinished': {
      const call = callOf(run, event.callId, event.batch);
      if (call) {
        Object.assign(call, { tool: event.tool, summary: event.summary, cached: event.cached, error: event.error });
        // The server's own measure of the work: the event may have waited in a queue.
        if (call.end === undefined) {
          call.start = Math.min(call.start, Math.max(0, event.at - event.ms));
          call.end = Math.max(call.start + event.ms, call.start);
        }
      }
      break;
    }
    case 'staged': {
      const diff = event.diff.slice(0, MAX_DIFF);
      const file = run.staged.find((other) => other.uri === event.uri);
      if (file) file.diff = diff;
      else run.staged.push({ uri: event.uri, diff });
      break;
    }
    case 'approval': {
      const open = run.pieces.findLast(
        (piece) => piece.kind === 'approval' && piece.answer === undefined && piece.message === event.message,
      );
      if (open?.kind === 'approval') open.answer = event.answer;
      else addPiece(run, { kind: 'approval', message: event.message, answer: event.answer });
      break;
    }
    case 'compacted': {
      const sizes =
        event.before && event.after ? ` from ${event.before.tokens} to ${event.after.tokens} tokens` : '';
      addPiece(run, { kind: 'note', text: `The conversation was made smaller${sizes}.` });
      break;
    }
    case 'retry': {
      const wait = event.waitMs > 0 ? `, in ${(event.waitMs / 1000).toFixed(1)} s` : '';
      addPiece(run, { kind: 'note', text: `Asking again (attempt ${event.attempt}${wait}): ${event.why}` });
      break;
    }
    case 'prefixBroken':
      addPiece(run, { kind: 'note', text: `The provider's cache does not apply any more: ${event.why}` });
      break;
    case 'finished': {
      const { runId, threadId, status, answer, files, steps, usage, timing, error } = event;
      run.outcome = { runId, threadId, status, answer, files, steps, usage, timing, error };
      run.thread = threadId;
      for (const call of allCalls(run)) call.end ??= run.at;
      for (const piece of run.pieces) if (piece.kind === 'approval') piece.answer ??= 'Not answered';
      break;
    }
    default:
      return undefined;
  }
  return run;
}

/** The files of a proposal about which nothing was decided yet. */
export function waiting(run: Run): string[] {
  if (run.outcome?.status !== 'proposed') return [];
  return run.outcome.files.map((file) => file.uri).filter((uri) => run.decided[uri] === undefined);
}

/** The user has decided about files of a proposal; `outcome` is what came of accepting them. */
export function decide(journal: Journal, runId: string, uris: readonly string[], outcome?: Outcome): Run | undefined {
  const run = journal.runs.find((other) => other.id === runId);
  if (!run?.outcome) return undefined;
  const all = waiting(run).every((uri) => uris.includes(uri));
  if (outcome && !['applied', 'conflict', 'unchanged'].includes(outcome.status)) {
    // Of some files: they go on waiting. Of all: the server takes no other word for them.
    if (all) run.outcome = { ...run.outcome, status: outcome.status, error: outcome.error };
    return run;
  }
  for (const uri of uris) run.decided[uri] = outcome ? 'accepted' : 'rejected';
  const arrived = new Map(outcome?.files.map((file) => [file.uri, file]));
  run.outcome.files = run.outcome.files.map((file) => arrived.get(file.uri) ?? file);
  if (all && Object.values(run.decided).includes('accepted')) {
    const clashed = run.outcome.files.some((file) => file.conflicts.length > 0);
    run.outcome.status = clashed ? 'conflict' : 'applied';
  }
  return run;
}

/** The server is gone: what was running will never finish. */
export function lose(journal: Journal, why: string): void {
  for (const run of journal.runs) {
    if (run.outcome) continue;
    const zero = { inputTokens: 0, cachedTokens: 0, outputTokens: 0 };
    apply(journal, {
      kind: 'finished',
      runId: run.id,
      seq: 0,
      at: run.at,
      threadId: run.thread ?? '',
      status: 'failed',
      answer: '',
      files: [],
      steps: 0,
      usage: zero,
      timing: { totalMs: run.at, modelMs: 0, toolMs: 0, overlapMs: 0 },
      error: { code: 'internal', message: why, hint: 'Nothing was applied. Start it again.' },
    });
  }
}

function addText(run: Run, delta: string): void {
  let total = delta.length;
  for (const piece of run.pieces) if (piece.kind === 'text') total += piece.text.length;
  if (total > MAX_TEXT) {
    run.cut = true;
    return;
  }
  const last = run.pieces.at(-1);
  if (last?.kind === 'text') last.text += delta;
  else addPiece(run, { kind: 'text', text: delta });
}

function addPiece(run: Run, piece: Piece): void {
  if (run.pieces.length < MAX_PIECES) run.pieces.push(piece);
  else run.cut = true;
}

export function allCalls(run: Run): Call[] {
  return run.pieces.flatMap((piece) => (piece.kind === 'calls' ? piece.calls : []));
}

/** The call with this name; calls of one model response stand together even while it still speaks. */
function callOf(run: Run, id: string, batch: number): Call | undefined {
  const calls = allCalls(run);
  const known = calls.find((call) => call.id === id);
  if (known) return known;
  if (calls.length >= MAX_CALLS) {
    run.cut = true;
    return undefined;
  }
  const isGroup = (piece: Piece): piece is Group => piece.kind === 'calls' && piece.batch === batch;
  let group = run.pieces.findLast(isGroup);
  if (!group) {
    group = { kind: 'calls', batch, calls: [] };
    addPiece(run, group);
  }
  const call: Call = { id, tool: '', summary: '', start: run.at, waitedMs: 0, beside: 1, cached: false, output: '' };
  group.calls.push(call);
  return call;
}

/** Where a bar stands on the chart of its group, in shares of the width. */
export interface Bar {
  left: number;
  width: number;
}

/** The bars of calls that share an axis; one that still runs reaches to `now`. Every bar can be seen. */
export function bars(calls: readonly Call[], now: number): Bar[] {
  const first = Math.min(...calls.map((call) => call.start));
  const last = Math.max(...calls.map((call) => call.end ?? now), first + 1);
  const span = last - first;
  return calls.map((call) => {
    const left = Math.min((call.start - first) / span, 0.97);
    const width = ((call.end ?? now) - call.start) / span;
    return { left, width: Math.min(Math.max(width, 0.03), 1 - left) };
  });
}

/** How many of these calls were at work at one moment, at most. */
export function peak(calls: readonly Call[], now: number): number {
  const edges = calls.flatMap((call) => [
    { at: call.start, by: 1 },
    { at: call.end ?? now, by: -1 },
  ]);
  // At the same moment an end comes first: calls one after another are not side by side.
  edges.sort((a, b) => a.at - b.at || a.by - b.by);
  let running = 0;
  let most = 0;
  for (const edge of edges) most = Math.max(most, (running += edge.by));
  return Math.max(most, ...calls.map((call) => call.beside), 0);
}

/** Lines added and removed by a unified diff. */
export function tally(diff: string): { added: number; removed: number } {
  let added = 0;
  let removed = 0;
  for (const line of diff.split('\n')) {
    if (line.startsWith('+') && !line.startsWith('+++')) added += 1;
    else if (line.startsWith('-') && !line.startsWith('---')) removed += 1;
  }
  return { added, removed };
}
