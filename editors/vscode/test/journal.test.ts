import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_CALLS, MAX_RUNS, MAX_TEXT, allCalls, apply, bars, decide, emptyJournal, know, lose, peak, tally, waiting, type Call, type Journal } from '../src/journal';
import type { ConflictPlace, Outcome, RunEvent } from '../src/protocol';

const base = { runId: 'r1', seq: 1 };
const started = (callId: string, at: number, batch = 1): RunEvent => ({ ...base, at, kind: 'toolStarted', callId, tool: 'grep', summary: 'grep x', batch });
const finished = (callId: string, at: number, ms: number, batch = 1): RunEvent => ({ ...base, at, kind: 'toolFinished', callId, tool: 'grep', summary: 'grep x', batch, cached: false, ms });
const text = (delta: string): RunEvent => ({ ...base, at: 5, kind: 'text', delta });
const outcome = {
  threadId: 't1', status: 'applied' as const, answer: 'Done', files: [], steps: 2,
  usage: { inputTokens: 1, cachedTokens: 0, outputTokens: 1 },
  timing: { totalMs: 9, modelMs: 5, toolMs: 3, overlapMs: 1 },
};

test('calls of one response stand together though the model speaks between them', () => {
  const journal = emptyJournal();
  for (const event of [text('a'), started('c1', 10), text('b'), started('c2', 12), finished('c1', 20, 8), finished('c2', 30, 15)]) apply(journal, event);
  const run = journal.runs[0];
  assert.deepEqual(run?.pieces.map((piece) => piece.kind), ['text', 'calls', 'text']);
  assert.equal(run && allCalls(run).length, 2);
});

test('a call whose beginning was never told stands where its end and length say', () => {
  const journal = emptyJournal();
  const run = apply(journal, finished('c1', 100, 40));
  assert.deepEqual(run && allCalls(run).map(({ start, end }) => ({ start, end })), [{ start: 60, end: 100 }]);
});

test('bars side by side overlap, bars in turn do not, and each can be seen', () => {
  const call = (start: number, end?: number): Call => ({ id: '', tool: '', summary: '', start, end, waitedMs: 0, beside: 1, cached: false, output: '' });
  assert.equal(peak([call(0, 10), call(10, 20)], 20), 1);
  assert.equal(peak([call(0, 10), call(5, 20), call(6)], 20), 3);
  for (const bar of bars([call(0, 1), call(999, 1000), call(1000, 1000)], 1000)) {
    assert.ok(bar.left >= 0 && bar.width >= 0.029 && bar.left + bar.width <= 1.0001, JSON.stringify(bar));
  }
});

test('an approval is answered where it was asked', () => {
  const journal = emptyJournal();
  apply(journal, { ...base, at: 1, kind: 'approval', message: 'Run ls?' });
  const run = apply(journal, { ...base, at: 2, kind: 'approval', message: 'Run ls?', answer: 'Deny' });
  assert.deepEqual(run?.pieces, [{ kind: 'approval', message: 'Run ls?', answer: 'Deny' }]);
});

test('the end of a run ends what was open in it', () => {
  const journal = emptyJournal();
  apply(journal, started('c1', 10));
  apply(journal, { ...base, at: 11, kind: 'approval', message: 'Run ls?' });
  const run = apply(journal, { ...base, at: 50, kind: 'finished', ...outcome });
  assert.equal(run?.thread, 't1');
  assert.equal(run && allCalls(run)[0]?.end, 50);
  assert.equal(run.pieces.some((piece) => piece.kind === 'approval' && piece.answer === undefined), false);
});

test('a server that ends fails the runs that were at work, and no other', () => {
  const journal = emptyJournal();
  apply(journal, { ...base, at: 50, kind: 'finished', ...outcome });
  know(journal, { runId: 'r2', threadId: 't2', prompt: 'x' });
  lose(journal, 'killed');
  assert.deepEqual(journal.runs.map((run) => run.outcome?.status), ['applied', 'failed']);
});

test('a model that never stops talking and calling is cut, and that is said', () => {
  const journal = emptyJournal();
  for (let i = 0; i < 50; i += 1) apply(journal, text('x'.repeat(MAX_TEXT / 20)));
  for (let i = 0; i < MAX_CALLS + 10; i += 1) apply(journal, started(`c${i}`, i));
  const run = journal.runs[0];
  assert.ok(run?.cut);
  assert.equal(allCalls(run).length, MAX_CALLS);
  const length = run.pieces.reduce((sum, piece) => sum + (piece.kind === 'text' ? piece.text.length : 0), 0);
  assert.ok(length <= MAX_TEXT);
});

test('the oldest ended run is forgotten, not one that works', () => {
  const journal = emptyJournal();
  know(journal, { runId: 'works' });
  for (let i = 0; i < MAX_RUNS + 5; i += 1) apply(journal, { seq: 1, at: 1, kind: 'finished', ...outcome, runId: `e${i}` });
  assert.equal(journal.runs.length, MAX_RUNS);
  assert.ok(journal.runs.some((run) => run.id === 'works'));
});

test('events of a newer server and nonsense change nothing', () => {
  const journal = emptyJournal();
  assert.equal(apply(journal, { ...base, at: 1, kind: 'dreamt' } as unknown as RunEvent), undefined);
  assert.equal(apply(journal, { at: 1, kind: 'text', delta: 'x' } as unknown as RunEvent), undefined);
});

const file = (uri: string, conflicts: ConflictPlace[] = []): Outcome['files'][number] => ({ uri, edits: 1, conflicts });
const place = { line: 1, endLine: 2, wanted: 'x' };

/** A run that proposes to change these files. */
function proposal(...uris: string[]): Journal {
  const journal = emptyJournal();
  apply(journal, { ...base, at: 50, kind: 'finished', ...outcome, status: 'proposed', files: uris.map((uri) => file(uri)) });
  return journal;
}

test('files of a proposal are decided one by one, and the run is what came of them', () => {
  const journal = proposal('a', 'b', 'c');
  const accepted = { ...outcome, runId: 'r1' };
  const run = decide(journal, 'r1', ['a'], { ...accepted, files: [file('a')] });
  assert.deepEqual([run && waiting(run), run?.outcome?.status], [['b', 'c'], 'proposed']);
  decide(journal, 'r1', ['b']);
  decide(journal, 'r1', ['c'], { ...accepted, status: 'conflict', files: [file('c', [place])] });
  assert.deepEqual([run && waiting(run), run?.outcome?.status, run?.decided], [[], 'conflict', { a: 'accepted', b: 'rejected', c: 'accepted' }]);
});

test('a proposal that is rejected whole stays a proposal that waits for nothing', () => {
  const journal = proposal('a', 'b');
  const run = decide(journal, 'r1', ['a', 'b']);
  assert.deepEqual([run && waiting(run), run?.outcome?.status], [[], 'proposed']);
});

test('a file whose edit could not be applied goes on waiting, unless it was the last word', () => {
  const failed: Outcome = { ...outcome, runId: 'r1', status: 'failed', error: { code: 'edit_refused', message: 'no', hint: 'x' } };
  const some = decide(proposal('a', 'b'), 'r1', ['a'], failed);
  assert.deepEqual(some && waiting(some), ['a', 'b']);
  const all = decide(proposal('a'), 'r1', ['a'], failed);
  assert.deepEqual([all?.outcome?.status, all?.outcome?.error?.message], ['failed', 'no']);
});

test('a diff is counted without its file names', () => {
  assert.deepEqual(tally('--- a\n+++ b\n@@ -1 +1,2 @@\n-x\n+y\n+z\n'), { added: 2, removed: 1 });
});
