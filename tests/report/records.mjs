// Recordings that no server has made, in the format that servers write: usage: node records.mjs STATE_DIRECTORY
//
// `run-hostile` says hostile things in every field, `run-long` has 200 model calls and 1,000 tool calls in half an hour.
import fs from 'node:fs';
import path from 'node:path';

const [state] = process.argv.slice(2);
const SESSION = '20261122T220405Z-1';
const folder = path.join(state, 'sessions', SESSION);
fs.mkdirSync(folder, { recursive: true, mode: 0o700 });

class Run {
  constructor(name) {
    this.name = name;
    this.lines = [];
    this.say('session', 0, {
      id: SESSION, schema: 1, version: '0.1.0', pid: 1, startedUnixUs: 1_795_385_045_000_000, part: 1, roots: [],
    });
  }

  say(kind, t, data) {
    const { name: run, lines } = this;
    // Numbers are whole in this format.
    const whole = (key, value) => (key !== 'costUsd' && key !== 'compact_at' && typeof value === 'number' ? Math.round(value) : value);
    lines.push(JSON.stringify({ v: 1, seq: lines.length + 1, t, run, thread: `thread-${run}`, kind, data }, whole));
  }

  /** A model call, and calls of tools as `[tool, when, how long, waited]`. */
  step(number, from, long, [inputTokens, cachedTokens, outputTokens], tools, word) {
    const text = '0'.repeat(32);
    this.say('request', from, {
      step: number, model: word, system: text, tools: text, maxOutput: 9, tokens: inputTokens,
      messages: { keep: number === 1 ? 0 : 1, add: [{ user: word.repeat(20) }] },
    });
    tools.forEach(([tool, at, ran, waitedUs], index) => {
      const call = `${number}-${index}`;
      const summary = `${tool} ${word}`;
      this.say('toolStarted', at, { call, tool, summary, arguments: word, batch: number, waitedUs, beside: 1 });
      const isError = index === 3 && number % 20 === 1;
      this.say('toolFinished', at + ran + 20, {
        call, tool, summary, batch: number, waitedUs, ranUs: ran, cached: index === 1, result: word.repeat(30), isError,
        ...(isError ? { error: word } : {}),
      });
    });
    this.say('response', from + long, {
      step: number, attempts: 1, stop: 'toolCalls', costUsd: inputTokens * 3e-6, turn: { origin: word, text: word, calls: [] },
      usage: { inputTokens, cachedTokens, outputTokens },
      timing: { firstByteUs: long * 0.05, firstTokenUs: long * 0.11, lastTokenUs: long - 1, totalUs: long },
    });
  }

  write() {
    fs.writeFileSync(path.join(folder, `${this.name}.0001.jsonl`), `${this.lines.join('\n')}\n`, { mode: 0o600 });
  }
}

const NASTY = [
  '"><script>alert(1)</script><img src=x onerror=alert(2)>', '</style></script></textarea></title><svg onload=alert(3)>',
  "' onfocus=alert(4) autofocus x='", '<!-- ', '[x](javascript:alert(5)) ![y](http://example.org/y.png) <http://example.org/>',
  '```\n</code></pre><iframe src=javascript:alert(6)></iframe>', '\u202egnp.exe \u0000\u001b[2J\ufeff', 'W'.repeat(3000),
  '&lt;b&gt; &#x3c;script&#x3e;alert(7)&#x3c;/script&#x3e;', 'javascript:alert(8)', '{{7*7}} ${alert(9)}',
].join(' ');
const hostile = new Run('run-hostile');
hostile.say('started', 0, { action: NASTY, title: NASTY, prompt: NASTY, model: NASTY, window: 9000, settings: { context: { compact_at: 0.8 } } });
hostile.step(1, 1e4, 1.2e6, [2000, 500, 90], [['grep', 4e5, 9e3, 0], ['read_file', 5e5, 2e3, 1e5], [NASTY, 6e5, 2e5, 0], ['run_command', 6.5e5, 3e5, 2e4]], NASTY);
hostile.say('retry', 1.25e6, { attempt: 1, waitUs: 2e5, why: NASTY });
hostile.say('approval', 1.5e6, { message: NASTY });
hostile.say('approval', 1.9e6, { message: NASTY, answer: NASTY });
hostile.say('typed', 2e6, { path: NASTY, uri: NASTY, edits: [{ start: 0, end: 0, text: NASTY }] });
hostile.say('compacted', 2.05e6, { before: { messages: 9, tokens: 7000 }, after: { messages: 2, tokens: 900 } });
hostile.step(2, 2.1e6, 7e5, [1200, 800, 40], [['edit_file', 2.5e6, 5e3, 0]], NASTY);
for (const [hash, text] of [['a'.repeat(32), `one\n${NASTY}\ntwo\n`], ['b'.repeat(32), `one\n${NASTY} too\ntwo\n`]]) {
  hostile.say('text', 2.81e6, { hash, text, bytes: text.length });
}
hostile.say('proposal', 2.82e6, { files: [{ path: NASTY, uri: 'file:///x', op: 'edited', before: 'a'.repeat(32), after: 'b'.repeat(32) }] });
hostile.say('delivery', 2.9e6, { what: 'staged', fate: NASTY, why: NASTY, paths: [NASTY], tookUs: 4e4 });
hostile.say(NASTY, 2.95e6, { what: NASTY });
hostile.lines.push(NASTY.replaceAll('\n', ' '));
hostile.say('finished', 3e6, { outcome: {
  status: 'conflict', answer: `${NASTY}\n\n# ${NASTY}\n- ${NASTY}\n`, error: { code: NASTY, message: NASTY, hint: NASTY },
  files: [{ uri: 'file:///x', edits: 1, conflicts: [{ line: 2, endLine: 3, wanted: NASTY }] }],
  timing: { totalMs: 3000, modelMs: 1900, toolMs: 520, overlapMs: 480 },
} });
hostile.write();

const long = new Run('run-long');
const TOOLS = ['read_file', 'grep', 'read_file', 'run_command', 'edit_file'];
const MINUTES = 30 * 60e6;
long.say('started', 0, { action: 'task', title: 'Move the parser to its own crate', prompt: 'Move the parser to its own crate, with its tests.', model: 'played/model', window: 200_000, settings: { context: { compact_at: 0.8 } } });
for (let step = 1; step <= 200; step += 1) {
  const from = ((step - 1) / 200) * MINUTES;
  const spread = 0.55 + 0.4 * Math.abs(Math.sin(step));
  const each = (MINUTES / 200) * spread;
  const context = 9000 + (step % 96) * 1580;
  if (step % 96 === 0) long.say('compacted', from - 1e5, { before: { messages: 190, tokens: 160_000 }, after: { messages: 12, tokens: 9000 } });
  const tools = TOOLS.map((tool, index) => [tool, from + each * (0.3 + index * 0.1), tool === 'run_command' ? each * 0.5 : 2e3 + index * 900, index * 4e3]);
  long.step(step, from, each, [context, Math.round(context * 0.86), 180 + (step * 37) % 400], tools, 'part');
}
long.say('finished', MINUTES, { outcome: { status: 'applied', answer: 'The parser has a crate of its own.', files: [], timing: { totalMs: MINUTES / 1e3, modelMs: 1_500_000, toolMs: 700_000, overlapMs: 600_000 } } });
long.write();
