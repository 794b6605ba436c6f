import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Trend, count, dollars, duration, readout, shortModel, sparkline } from '../src/numbers';
import type { Status } from '../src/protocol';
import { Restarts, SERVER_SETTINGS, Tail, compatible, remember, section } from '../src/settings';
import { gist, question } from '../src/webview/ask';
import { inline, markdown, parse } from '../src/webview/markdown';

interface Manifest {
  version: string;
  contributes: {
    configuration: { properties: Record<string, { scope?: string; default?: unknown }> };
    commands: { command: string }[];
    keybindings: { command: string; key: string; mac: string }[];
  };
}
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;

test('numbers are short', () => {
  assert.deepEqual([0, 950, 1234, 12_345, 999_700].map(count), ['0', '950', '1.2k', '12k', '1.0M']);
  assert.deepEqual([0, 0.0042, 0.1, 3.4].map(dollars), ['$0', '$0.0042', '$0.10', '$3.40']);
  assert.deepEqual([0.2, 4, 45, 800, 12_000, 125_000, 7_300_000].map(duration), ['0.2 ms', '4 ms', '45 ms', '0.8 s', '12 s', '2 min 5 s', '2 h 1 min']);
  assert.equal(shortModel('local/org/model'), 'org/model');
});

test('a sparkline shows the shape, and nothing as nothing', () => {
  assert.equal(sparkline([0, 1, 4, 8]), '▁▂▅█');
  assert.equal(sparkline([0, 0]), '▁▁');
});

test('a trend counts growth by slots and starts anew with a new server', () => {
  const trend = new Trend(10, 3);
  trend.note(100, 0);
  trend.note(105, 5);
  trend.note(110, 12);
  trend.note(3, 25);
  assert.deepEqual(trend.values(25), [5, 5, 0]);
});

test('the readout says nothing of what was not measured', () => {
  const none = { p50: 0, p95: 0, p99: 0 };
  const status: Status = {
    state: 'idle', runs: [], tokens: { input: 0, cached: 0, output: 0, context: 0, window: 0 },
    costUsd: { run: 0, session: 0 }, latencyMs: { firstToken: none, tool: none, request: none },
    cacheHitRate: {}, tools: { running: 0, peak: 0, done: 0, failed: 0 }, http: {}, rssBytes: 0, uptimeMs: 5000,
  };
  assert.deepEqual(readout(status).map(([name]) => name), ['Tokens', 'Cost', 'Up']);
  const more = readout({ ...status, wonMs: { stream: 1500, parallel: 20 }, cpu: { ms: 9, share: 0.031 } });
  assert.deepEqual(more.slice(2, 4), [['Time won', '1.5 s by starting tools early, 20 ms side by side'], ['Processor', '3% of one core']]);
});

test('only what the user set goes to the server', () => {
  const values: Record<string, unknown> = { model: '', 'edits.mode': 'confirm', 'permissions.deny': ['run_command'] };
  assert.deepEqual(section((key) => values[key]), { edits: { mode: 'confirm' }, permissions: { deny: ['run_command'] } });
});

test('a repository cannot change what matters: such settings are of the user or the machine', () => {
  const { properties } = manifest.contributes.configuration;
  for (const key of SERVER_SETTINGS) assert.equal(properties[`ropeway.${key}`]?.scope, 'application', key);
  for (const key of ['path', 'arguments', 'environment']) assert.equal(properties[`ropeway.server.${key}`]?.scope, 'machine', key);
});

test('the extension has the version of the server that it is released with', () => {
  const cargo = /^version = "(.*)"$/m.exec(readFileSync('../../Cargo.toml', 'utf8'))?.[1];
  assert.equal(manifest.version, cargo);
  assert.ok(compatible('0.1.0', '0.1.7'));
  assert.ok(!compatible('0.1.0', '0.2.0'));
  assert.ok(!compatible('0.1.0', undefined));
});

test('every key has a command, and no key is used twice', () => {
  const { commands, keybindings } = manifest.contributes;
  const known = new Set([...commands.map(({ command }) => command), 'ropeway.view.focus']);
  for (const { command } of keybindings) assert.ok(known.has(command), command);
  assert.equal(new Set(keybindings.map(({ key }) => key)).size, keybindings.length);
});

test('a server that keeps ending is not started for ever', () => {
  const restarts = new Restarts();
  assert.deepEqual([restarts.again(0), restarts.again(1000), restarts.again(2000)], [true, true, false]);
  assert.equal(restarts.again(10 * 60_000), true);
});

test('the last line of a log says why, without colours and times', () => {
  const tail = new Tail();
  tail.add('2026-01-01T00:00:00Z  INFO start\n\u001b[31mERROR\u001b[0m out of ');
  tail.add('luck\n\n');
  assert.equal(tail.last(), 'ERROR out of luck');
});

test('an instruction given again moves to the front', () => {
  assert.deepEqual(remember(['a', 'b', 'c'], 'b', 3), ['b', 'a', 'c']);
  assert.deepEqual(remember(['a', 'b', 'c'], 'd', 3), ['d', 'a', 'b']);
});

test('markdown becomes a tree of text; HTML in it stays text', () => {
  assert.deepEqual(markdown('# A\nb <img src=x onerror=alert(1)>\nc\n\n- `d`\n1. e'), [
    { kind: 'heading', inline: [{ kind: 'text', text: 'A' }] },
    { kind: 'paragraph', inline: [{ kind: 'text', text: 'b <img src=x onerror=alert(1)> c' }] },
    { kind: 'item', depth: 0, marker: '•', inline: [{ kind: 'code', text: 'd' }] },
    { kind: 'item', depth: 0, marker: '1.', inline: [{ kind: 'text', text: 'e' }] },
  ]);
  assert.deepEqual(markdown('```rust\nfn a() {\n'), [{ kind: 'code', language: 'rust', text: 'fn a() {\n' }]);
  assert.deepEqual(inline('a **b** *c*'), [
    { kind: 'text', text: 'a ' }, { kind: 'strong', text: 'b' }, { kind: 'text', text: ' ' }, { kind: 'em', text: 'c' },
  ]);
});

test('a question shows the whole command, whatever it says', () => {
  assert.deepEqual(question('Ropeway wants to run in sub: ls — No rule of yours allows it. Sandbox: full.'), {
    lead: 'Ropeway wants to run in sub:', command: 'ls', why: 'No rule of yours allows it. Sandbox: full.',
  });
  assert.equal(question('Ropeway wants to run: echo a — your rule allows it. — No rule.').command, 'echo a — your rule allows it.');
  assert.deepEqual(question('Ropeway wants to change .vscode/tasks.json: it runs. Allow it?').command, undefined);
});

test('an answer that streams is read on from its last block, wherever it is cut', () => {
  const text = 'One\ntwo\r\n\n# Head\n- a\n  1. b\n```rust\nfn a() {\n\n}\n```\n> q\ntail **x** `y`\n\n~~~\nopen';
  for (let cut = 0; cut <= text.length; cut += 1) {
    const { blocks, starts } = parse(text.slice(0, cut));
    const from = starts.at(-1) ?? 0;
    assert.deepEqual([...blocks.slice(0, -1), ...markdown(text.slice(from))], markdown(text), `cut at ${cut}`);
  }
});

test('a line that is all marks is text, however long', () => {
  const long = '*a '.repeat(100_000);
  assert.deepEqual(inline(long), [{ kind: 'text', text: long }]);
  const short = '**a `'.repeat(390);
  assert.ok(inline(short).length > 0);
});

test('what is folded goes by its first words, or by what the server calls it', () => {
  assert.equal(gist('Is there a test?\nAnd where?'), 'Is there a test?');
  assert.equal(gist('<user_typed>\nin `till.py`\n</user_typed>'), 'User typed');
  assert.equal(gist('Make this code simpler: fewer branches, less state, no dead code, the standard library where it has the same'),
    'Make this code simpler: fewer branches, less state, no dead code, the standard…');
  assert.equal(gist('x'.repeat(100)), `${'x'.repeat(80)}…`);
});
