/**
 * One run on the page: what was asked, the answer as it streams, calls on a common clock, staged edits, and what it came
 * to. Only what changed is drawn again, so that a long conversation costs no more than its last line.
 */

import { allCalls, bars, peak, tally, waiting, type Call, type Piece, type Run } from '../journal';
import { count, dollars, duration, shortModel } from '../numbers';
import { advice, type DumpedMessage } from '../protocol';
import { gist, question } from './ask';
import { button, diffLines, h, render, setText, spans } from './dom';
import { inline } from './markdown';

export type Send = (message: object) => void;

interface Row {
  root: HTMLElement;
  label: HTMLElement;
  time: HTMLElement;
  bar: HTMLElement;
  more: HTMLElement;
}

interface Drawn {
  root: HTMLElement;
  /** What it was drawn from, to see whether it changed. */
  shown: string;
  /** All its calls have ended, and their bars stand as they will. */
  settled: boolean;
  rows: Map<string, Row>;
}

const STATUS_WORDS: Record<string, string> = {
  applied: 'Applied',
  proposed: 'Waits for you',
  answered: 'Answered',
  unchanged: 'No change',
  conflict: 'Applied in part',
  unknown: 'Not confirmed',
  cancelled: 'Cancelled',
  failed: 'Failed',
};

function fileName(uri: string): string {
  try {
    return decodeURIComponent(uri.slice(uri.lastIndexOf('/') + 1));
  } catch {
    return uri;
  }
}

export class Card {
  readonly root: HTMLElement;
  private readonly clock = h('span', { class: 'clock' });
  private readonly title = h('h2', { class: 'title' });
  private readonly prompt = h('p', { class: 'prompt' });
  private readonly body = h('div', { class: 'body' });
  private readonly staged = h('div', { class: 'staged' });
  private readonly foot = h('div', { class: 'foot' });
  private readonly pieces: Drawn[] = [];
  private readonly diffs = new Map<string, { root: HTMLDetailsElement; shown: string }>();
  private footShown = '';
  /** Moment of the page's clock at which the run's own stood at `seenAt`. */
  private seen = performance.now();
  private seenAt = 0;

  constructor(
    private run: Run,
    private readonly send: Send,
    private readonly can: () => { report: boolean },
  ) {
    const header = h('header', {}, this.title, this.clock);
    this.root = h('article', { class: 'run' }, header, this.prompt, this.body, this.staged, this.foot);
    this.update(run);
  }

  update(run: Run): void {
    this.run = run;
    if (run.at !== this.seenAt) {
      this.seenAt = run.at;
      this.seen = performance.now();
    }
    setText(this.title, run.title);
    setText(this.prompt, run.prompt);
    // A run that goes by its instruction does not say it twice.
    this.prompt.hidden = run.prompt === '' || run.title.startsWith(run.prompt);
    this.root.setAttribute('aria-label', `Run: ${run.title}`);
    this.root.classList.toggle('running', this.running);
    run.pieces.forEach((piece, at) => {
      this.piece(piece, at, at === run.pieces.length - 1);
    });
    this.drawStaged();
    this.drawFoot();
    this.tick();
  }

  /** What moves by itself while the run works: its clock, and the bars of calls that have not ended. */
  tick(): void {
    const { run } = this;
    const now = this.running ? this.seenAt + (performance.now() - this.seen) : run.at;
    const model = run.model ? `${shortModel(run.model)} · ` : '';
    setText(this.clock, `${model}${duration(run.outcome?.timing.totalMs ?? now)}`);
    run.pieces.forEach((piece, at) => {
      const drawn = this.pieces[at];
      if (piece.kind === 'calls' && drawn) this.drawBars(piece.calls, drawn, now);
    });
  }

  get running(): boolean {
    return this.run.outcome === undefined;
  }

  /** One line for a screen reader. */
  spoken(): string {
    const { run } = this;
    if (run.outcome) return `${run.title}: ${STATUS_WORDS[run.outcome.status] ?? run.outcome.status}`;
    const running = allCalls(run).filter((call) => call.end === undefined).length;
    return `${run.title}: ${running > 0 ? `${running} calls run` : 'the model speaks'}`;
  }

  private piece(piece: Piece, at: number, last: boolean): void {
    let drawn = this.pieces[at];
    if (!drawn) {
      drawn = { root: emptyPiece(piece), shown: '', settled: false, rows: new Map() };
      this.pieces[at] = drawn;
      this.body.append(drawn.root);
    }
    if (piece.kind === 'text') {
      drawn.root.classList.toggle('streams', last && this.running);
      if (drawn.shown === piece.text) return;
      drawn.shown = piece.text;
      render(drawn.root, piece.text);
    } else if (piece.kind === 'calls') this.drawCalls(piece.calls, drawn);
    else if (piece.kind === 'note') setText(drawn.root, piece.text);
    else {
      const answer = piece.answer ?? 'Waits for your answer…';
      if (drawn.shown === answer) return;
      drawn.shown = answer;
      const tone = piece.answer === undefined ? 'open' : /^(Allow|Always)/.test(piece.answer) ? 'yes' : 'no';
      // While it is open the question itself stands below, with its buttons.
      const { lead, command } = question(piece.message);
      const asked = piece.answer !== undefined && h('span', { class: 'asked' }, command ? h('code', {}, command) : lead);
      drawn.root.replaceChildren(h('span', { class: `answer ${tone}` }, answer), asked || '');
    }
  }

  private drawCalls(calls: readonly Call[], drawn: Drawn): void {
    const ended = calls.every((call) => call.end !== undefined);
    if (drawn.settled && ended && drawn.rows.size === calls.length) return;
    drawn.settled = false;
    const rows = drawn.root.querySelector('.rows');
    for (const call of calls) {
      let row = drawn.rows.get(call.id);
      if (!row) {
        row = emptyRow();
        drawn.rows.set(call.id, row);
        rows?.append(row.root);
      }
      const text = call.summary.startsWith(call.tool) ? call.summary.slice(call.tool.length).trim() : call.summary;
      if (row.label.dataset['text'] !== text) {
        row.label.dataset['text'] = text;
        row.label.replaceChildren(h('b', {}, call.tool), ' ', ...spans(inline(text)));
      }
      const state = call.error ? 'failed' : call.end === undefined ? 'runs' : call.cached ? 'cached' : 'done';
      row.root.className = `row ${state}`;
      drawMore(call, row.more);
    }
  }

  private drawBars(calls: readonly Call[], drawn: Drawn, now: number): void {
    if (drawn.settled) return;
    drawn.settled = calls.every((call) => call.end !== undefined);
    const places = bars(calls, now);
    const most = peak(calls, now);
    const span = Math.max(...calls.map((call) => call.end ?? now)) - Math.min(...calls.map((call) => call.start));
    const summary = drawn.root.querySelector('summary');
    const together = most > 1 ? ` · ${most} at once` : '';
    if (summary) setText(summary, `${calls.length === 1 ? '1 call' : `${calls.length} calls`}${together} · ${duration(span)}`);
    calls.forEach((call, at) => {
      const row = drawn.rows.get(call.id);
      const place = places[at];
      if (!row || !place) return;
      row.bar.style.marginLeft = `${(place.left * 100).toFixed(2)}%`;
      row.bar.style.width = `${(place.width * 100).toFixed(2)}%`;
      const took = duration((call.end ?? now) - call.start);
      setText(row.time, call.cached ? 'cached' : took);
      const ended = call.end === undefined ? 'running' : `${call.cached ? 'from the cache' : 'done'} in ${took}`;
      const beside = call.beside > 1 ? `, ${call.beside} at once` : '';
      const waited = call.waitedMs >= 1 ? `, waited ${duration(call.waitedMs)}` : '';
      const label = `${call.tool}: ${call.summary}: ${call.error ? 'failed' : ended}${beside}${waited}`;
      if (row.root.title !== label) {
        row.root.title = label;
        row.root.setAttribute('aria-label', label);
      }
    });
  }

  private drawStaged(): void {
    const open = waiting(this.run);
    // With one file the buttons below are enough.
    const each = (this.run.outcome?.files.length ?? 0) > 1;
    for (const { uri, diff } of this.run.staged) {
      const known = this.diffs.get(uri);
      const decided = each ? this.run.decided[uri] : undefined;
      const waits = each && open.includes(uri);
      const shown = JSON.stringify([diff, decided, waits]);
      if (known?.shown === shown) continue;
      const { added, removed } = tally(diff);
      const name = fileName(uri);
      const openDiff = (): void => {
        this.send({ type: 'diff', run: this.run.id, uri });
      };
      const summary = h(
        'summary',
        { attrs: { title: uri } },
        h('span', { class: 'name' }, name),
        added > 0 && h('span', { class: 'plus' }, `+${added}`),
        removed > 0 && h('span', { class: 'minus' }, `−${removed}`),
        decided && h('span', { class: `decided ${decided}` }, decided === 'accepted' ? 'Accepted' : 'Rejected'),
      );
      const decide = (label: string, type: string): HTMLButtonElement =>
        button(label, () => { this.send({ type, run: this.run.id, uri }); }, 'secondary', `${label} the edit of ${name}`);
      const buttons = h(
        'div',
        { class: 'buttons' },
        waits && decide('Accept', 'accept'),
        waits && decide('Reject', 'reject'),
        button('Open diff', openDiff, 'link', `Open diff of ${name}`),
      );
      const root = known?.root ?? h('details', { class: 'diff', attrs: { open: '' } });
      root.replaceChildren(summary, diffLines(diff), buttons);
      // What is decided is out of the way.
      if (decided && !known?.shown.includes(decided)) root.open = false;
      if (!known) this.staged.append(root);
      this.diffs.set(uri, { root, shown });
    }
  }

  private drawFoot(): void {
    const { run, foot } = this;
    const { outcome } = run;
    const key = JSON.stringify([outcome, run.decided, run.takenBack, run.cut, this.can()]);
    if (key === this.footShown) return;
    this.footShown = key;
    foot.replaceChildren();
    if (run.cut) foot.append(h('p', { class: 'note' }, 'Some of this run is not shown: it was too much.'));
    if (!outcome) return;
    // What was streamed stands above already.
    if (outcome.answer && !run.pieces.some((piece) => piece.kind === 'text')) {
      const answer = h('div', { class: 'text' });
      render(answer, outcome.answer);
      foot.append(answer);
    }
    if (outcome.error) {
      const { code, message, hint } = outcome.error;
      foot.append(h('p', { class: 'error', attrs: { role: 'alert' } }, advice({ code, message, hint: '' }), h('br'), h('span', { class: 'mend' }, ...spans(inline(advice({ code, message: '', hint }))))));
      if (code === 'auth' || code === 'config') {
        foot.append(h('div', { class: 'buttons' }, this.command('Set API key', 'setKey'), this.command('Select model', 'selectModel')));
      }
    }
    for (const file of outcome.files) {
      for (const place of file.conflicts) {
        const where = `${fileName(file.uri)}:${place.line + 1}: you changed the same lines, and yours stand. It wanted: `;
        foot.append(h('p', { class: 'note' }, where, h('code', {}, place.wanted.trim().slice(0, 200))));
      }
    }
    const { usage, timing } = outcome;
    const facts = [
      outcome.steps > 0 ? `${outcome.steps} model ${outcome.steps === 1 ? 'call' : 'calls'}` : '',
      usage.inputTokens > 0 ? `${count(usage.inputTokens)} in, ${count(usage.outputTokens)} out` : '',
      usage.costUsd === undefined ? '' : dollars(usage.costUsd),
      timing.overlapMs >= 1 ? `${duration(timing.overlapMs)} overlapped` : '',
    ].filter((fact) => fact !== '');
    const open = waiting(run).length;
    const rejected = outcome.status === 'proposed' && open === 0;
    const word = run.takenBack ? 'Taken back' : rejected ? 'Rejected' : (STATUS_WORDS[outcome.status] ?? outcome.status);
    const chip = h('span', { class: `chip ${run.takenBack || rejected ? 'cancelled' : outcome.status}` }, word);
    foot.append(h('p', { class: 'facts' }, chip, h('span', {}, facts.join(' · '))));
    const buttons = h('div', { class: 'buttons' });
    if (open > 0) {
      const what = outcome.files.length === 1 ? '' : open === outcome.files.length ? ' all' : ' the rest';
      buttons.append(this.of(`Accept${what}`, 'accept', 'primary'), this.of(`Reject${what}`, 'reject'));
    }
    if ((outcome.status === 'applied' || outcome.status === 'conflict') && !run.takenBack && run.staged.length > 0) {
      buttons.append(this.of('Take back this run', 'takeBack'));
    }
    if (this.can().report) buttons.append(this.of('Report', 'report'));
    if (buttons.childElementCount > 0) foot.append(buttons);
  }

  /** A button that says something of this run. */
  private of(label: string, type: string, style = 'secondary'): HTMLButtonElement {
    return button(label, () => { this.send({ type, run: this.run.id }); }, style);
  }

  private command(label: string, name: string): HTMLButtonElement {
    return button(label, () => { this.send({ type: 'command', name }); });
  }
}

/** A message of an earlier session: what the model was told is folded, since most of it is text of the workspace. */
export function pastMessage(message: DumpedMessage): HTMLElement[] {
  const text = message.text ?? '';
  const made: HTMLElement[] = [];
  if (message.role === 'user') {
    const size = message.tokens ? ` · ${count(message.tokens)} tokens` : '';
    const summary = h('summary', {}, `${gist(text)}${size}`);
    made.push(h('details', { class: 'told' }, summary, h('pre', { class: 'output', attrs: { tabindex: '0', 'aria-label': 'What the model was told' } }, text)));
  } else if (message.role === 'assistant') {
    if (text.trim() !== '') {
      const said = h('div', { class: 'text' });
      render(said, text);
      made.push(said);
    }
    const tools = new Map<string, number>();
    for (const { tool } of message.calls ?? []) tools.set(tool, (tools.get(tool) ?? 0) + 1);
    const called = [...tools].map(([tool, times]) => (times > 1 ? `${tool} ×${times}` : tool));
    if (called.length > 0) made.push(h('p', { class: 'note' }, `Called ${called.join(', ')}`));
  }
  return made;
}

function emptyPiece(piece: Piece): HTMLElement {
  if (piece.kind !== 'calls') return h('div', { class: piece.kind });
  const rows = h('div', { class: 'rows', attrs: { role: 'list' } });
  return h('details', { class: 'calls', attrs: { open: '' } }, h('summary'), rows);
}

function emptyRow(): Row {
  const row = {
    root: h('div', { class: 'row', attrs: { role: 'listitem' } }),
    label: h('span', { class: 'label' }),
    time: h('span', { class: 'time' }),
    bar: h('span', { class: 'bar' }),
    more: h('div', { class: 'more' }),
  };
  const track = h('span', { class: 'track', attrs: { 'aria-hidden': 'true' } }, row.bar);
  row.root.append(row.label, row.time, track, row.more);
  return row;
}

function drawMore(call: Call, more: HTMLElement): void {
  const shown = `${call.error ?? ''} ${call.output.length}`;
  if (more.dataset['shown'] === shown) return;
  more.dataset['shown'] = shown;
  more.replaceChildren();
  if (call.error) more.append(h('p', { class: 'error' }, call.error));
  if (call.output) {
    const pre = h('pre', { class: 'output', attrs: { tabindex: '0', 'aria-label': 'Output' } }, call.output);
    more.append(pre);
    pre.scrollTop = pre.scrollHeight;
  }
}
