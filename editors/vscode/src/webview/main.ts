/**
 * The live view's page. It keeps a copy of the journal, fed with the extension's events, and draws it frame by frame;
 * everything that can be clicked can be reached with Tab and pressed with Enter or Space.
 */

import { apply, decide, emptyJournal, know, type Journal, type Known, type Run } from '../journal';
import { contextShare, count, dollars, percent, shortModel } from '../numbers';
import type { Ask, DumpedMessage, Outcome, RunEvent } from '../protocol';
import type { Scene } from '../view';
import { question } from './ask';
import { Card, pastMessage } from './card';
import { button, h, setText, spans } from './dom';
import { inline } from './markdown';

declare function acquireVsCodeApi(): {
  postMessage(message: object): void;
  getState(): unknown;
  setState(state: object): void;
};

type Message =
  | { type: 'reset'; journal: Journal; scene: Scene }
  | { type: 'event'; event: RunEvent }
  | { type: 'know'; known: Known }
  | { type: 'decided'; runId: string; uris: string[]; outcome?: Outcome }
  | { type: 'takenBack'; runId: string }
  | { type: 'recalled'; thread: string; messages: DumpedMessage[] }
  | { type: 'scene'; scene: Scene }
  | { type: 'compose'; thread?: string };

const vscode = acquireVsCodeApi();
const send = (message: object): void => {
  vscode.postMessage(message);
};
const command = (name: string) => (): void => {
  send({ type: 'command', name });
};

let journal = emptyJournal();
let scene: Scene = { life: 'starting', trusted: true, asks: [], can: { report: false } };
/** The conversation on show; none is a new one. */
let current: string | undefined;
const cards = new Map<string, Card>();
const dirty = new Set<string>();
/** What was said in conversations of earlier sessions, as far as they were looked at. */
const recalled = new Map<string, DumpedMessage[]>();
let framed = false;

const threads = h('select', { class: 'threads', attrs: { 'aria-label': 'Conversation' }, on: { change: chooseThread } });
const state = h('div', { class: 'state' });
const spoken = h('div', { class: 'spoken', attrs: { role: 'status', 'aria-live': 'polite' } });
const log = h('div', {
  class: 'log',
  attrs: { role: 'log', 'aria-label': 'Conversation', 'aria-live': 'off', tabindex: '0' },
});
const hint = h('div', { class: 'hint' });
const past = h('div', { class: 'past' });
const asks = h('section', { class: 'asks', attrs: { 'aria-live': 'assertive' } });
const box = h('textarea', { attrs: { rows: '2', 'aria-label': 'Your instruction' }, on: { keydown: typed, input: grow } });
const sendButton = button('Send', submit, 'primary', 'Send the instruction');
const cancelButton = button('Cancel run', () => { send({ type: 'cancel' }); }, 'secondary');
const compose = h('div', { class: 'compose' }, box, h('div', { class: 'buttons' }, cancelButton, sendButton));
log.append(hint, past);
const restricted = h(
  'div',
  { class: 'restricted', attrs: { role: 'note' } },
  h('span', {}, 'Restricted Mode: no commands are run here.'),
  button('Manage trust', command('manageTrust'), 'link', 'Manage trust of this folder'),
);
restricted.hidden = true;
document.body.append(
  h('header', { class: 'top' }, h('h1', { class: 'spoken' }, 'Ropeway'), threads, state),
  h('main', {}, restricted, log, asks, compose, spoken),
);

/** The name a conversation goes by: its thread, or the run itself until its thread is known. */
function threadOf(run: Run): string {
  return run.thread ?? run.id;
}

function chooseThread(): void {
  current = threads.value === '' ? undefined : threads.value;
  const earlier = scene.earlier?.some((thread) => thread.threadId === current);
  if (earlier && current && !recalled.has(current)) send({ type: 'recall', thread: current });
  redraw();
  box.focus();
}

function submit(): void {
  const text = box.value.trim();
  if (text === '' || sendButton.disabled) return;
  const known = journal.runs.find((run) => threadOf(run) === current)?.thread;
  const thread = known ?? scene.earlier?.find((other) => other.threadId === current)?.threadId;
  send({ type: 'send', text, thread });
  box.value = '';
  grow();
}

function typed(event: Event): void {
  const key = event as KeyboardEvent;
  if (key.key === 'Enter' && !key.shiftKey && !key.isComposing) {
    key.preventDefault();
    submit();
  } else if (key.key === 'ArrowUp' && box.value === '') {
    const last = journal.runs.findLast((run) => run.prompt !== '');
    if (!last) return;
    key.preventDefault();
    box.value = last.prompt;
    grow();
  }
}

function grow(): void {
  box.rows = Math.min(8, Math.max(2, box.value.split('\n').length));
  vscode.setState({ draft: box.value });
}

function short(name: string): string {
  return name.length > 48 ? `${name.slice(0, 47)}…` : name;
}

function drawThreads(): void {
  const seen = new Map<string, string>();
  for (const run of journal.runs) {
    const name = run.prompt || run.title;
    if (!seen.has(threadOf(run))) seen.set(threadOf(run), short(name));
  }
  const earlier = (scene.earlier ?? []).filter((thread) => !seen.has(thread.threadId));
  const wanted = [
    ['', 'New conversation'] as const,
    ...[...seen].reverse(),
    ...earlier.map((thread) => [thread.threadId, `Earlier: ${short(thread.title)}`] as const),
  ];
  const key = JSON.stringify(wanted);
  if (threads.dataset['shown'] !== key) {
    threads.dataset['shown'] = key;
    threads.replaceChildren(...wanted.map(([id, name]) => h('option', { attrs: { value: id } }, name)));
  }
  threads.value = current ?? '';
  threads.parentElement?.classList.toggle('empty', wanted.length === 1);
}

function drawScene(): void {
  const { status, life } = scene;
  const running = journal.runs.some((run) => run.outcome === undefined);
  cancelButton.hidden = !running;
  sendButton.disabled = life !== 'running';
  box.placeholder = current ? 'Follow up. Enter sends.' : 'Ask for a change. Enter sends.';
  const parts: string[] = [];
  if (life === 'running' && status) {
    const share = contextShare(status);
    if (status.model) parts.push(shortModel(status.model));
    if (share !== undefined && status.tokens.context > 0) parts.push(`context ${percent(share)}`);
    if (status.tokens.input > 0) parts.push(`${count(status.tokens.input + status.tokens.output)} tokens`);
    if (status.costUsd.session > 0) parts.push(dollars(status.costUsd.session));
  }
  setText(state, parts.join(' · '));
  restricted.hidden = scene.trusted;
  drawHint();
  drawPast();
  drawAsks(scene.asks);
}

function drawHint(): void {
  const empty = !journal.runs.some((run) => threadOf(run) === current);
  const told = current !== undefined && recalled.has(current);
  hint.hidden = (!empty || told) && scene.life === 'running';
  const key = `${scene.life}${scene.status?.model ?? ''}`;
  if (hint.dataset['key'] === key) return;
  hint.dataset['key'] = key;
  const buttons = (...all: HTMLElement[]): HTMLElement => h('div', { class: 'buttons' }, ...all);
  if (scene.life === 'ended') {
    hint.replaceChildren(
      h('p', {}, "Ropeway's server has ended."),
      buttons(button('Restart server', command('restart'), 'primary'), button('Show log', command('showLog'))),
    );
  } else if (scene.life !== 'running') hint.replaceChildren(h('p', {}, 'The server is starting…'));
  else if (scene.status && !scene.status.model) {
    hint.replaceChildren(
      h('p', {}, 'No model is chosen: no API key was found.'),
      buttons(button('Set API key', command('setKey'), 'primary'), button('Select model', command('selectModel'))),
    );
  } else {
    hint.replaceChildren(
      h('p', {}, 'Ask for a change below, or select lines in an editor and use the light bulb.'),
      h('p', { class: 'quiet' }, 'Keep typing meanwhile: edits are carried over what you change.'),
    );
  }
}

/** What was said in this conversation before this session. */
function drawPast(): void {
  const messages = current === undefined ? undefined : recalled.get(current);
  past.hidden = !messages;
  const key = messages ? (current ?? '') : '';
  if (past.dataset['key'] === key) return;
  past.dataset['key'] = key;
  past.replaceChildren(...(messages ?? []).flatMap(pastMessage));
}

function drawAsks(list: readonly Ask[]): void {
  const key = JSON.stringify(list);
  if (asks.dataset['key'] === key) return;
  const had = asks.childElementCount;
  asks.dataset['key'] = key;
  asks.replaceChildren(
    ...list.map((ask) => {
      const choices = ask.choices.map((choice, at) =>
        button(choice, () => { send({ type: 'answer', ask: ask.id, choice }); }, at === 0 ? 'primary' : 'secondary'),
      );
      const attrs = { role: 'alertdialog', 'aria-label': 'Approval', tabindex: '-1' };
      const { lead, command: line, why } = question(ask.message);
      const pre = line && h('pre', { class: 'code', attrs: { tabindex: '0', 'aria-label': 'Command' } }, line);
      const reason = why && h('p', { class: 'quiet' }, ...spans(inline(why)));
      return h('div', { class: 'ask', attrs }, h('p', {}, lead), pre, reason, h('div', { class: 'buttons' }, ...choices));
    }),
  );
  // Whoever reads on the page already is led to the question; not who is writing, here or in an editor. No button has
  // the keyboard by itself: a key that was meant for something else must not be a yes.
  const writes = document.activeElement === box && box.value !== '';
  if (list.length > had && document.hasFocus() && !writes) asks.querySelector<HTMLElement>('.ask:last-child')?.focus();
}

/** Draws what changed, at most once a frame. */
function frame(): void {
  framed = false;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const run of journal.runs) {
    if (threadOf(run) !== current) continue;
    const card = cards.get(run.id);
    if (!card) {
      const made = new Card(run, send, () => scene.can);
      cards.set(run.id, made);
      log.append(made.root);
    } else if (dirty.has(run.id)) card.update(run);
    if (dirty.has(run.id)) setText(spoken, cards.get(run.id)?.spoken() ?? '');
  }
  dirty.clear();
  drawThreads();
  drawScene();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function schedule(): void {
  if (framed) return;
  framed = true;
  requestAnimationFrame(frame);
}

function redraw(): void {
  for (const card of cards.values()) card.root.remove();
  cards.clear();
  schedule();
}

/** Brings a run's conversation on show. */
function show(run: Run): void {
  const thread = threadOf(run);
  if (current === thread) return;
  current = thread;
  redraw();
}

function take(message: Message): void {
  switch (message.type) {
    case 'reset': {
      ({ journal, scene } = message);
      const last = journal.runs.at(-1);
      current ??= last && threadOf(last);
      redraw();
      break;
    }
    case 'event': {
      const known = journal.runs.find((run) => run.id === message.event.runId);
      const shown = known && threadOf(known) === current;
      const run = apply(journal, message.event);
      if (!run) break;
      if (shown || message.event.kind === 'started') show(run);
      dirty.add(run.id);
      break;
    }
    case 'know': {
      const known = journal.runs.find((run) => run.id === message.known.runId);
      const shown = !known || threadOf(known) === current;
      const run = know(journal, message.known);
      if (shown) show(run);
      dirty.add(run.id);
      break;
    }
    case 'decided': {
      const run = decide(journal, message.runId, message.uris, message.outcome);
      if (run) dirty.add(run.id);
      break;
    }
    case 'recalled':
      recalled.set(message.thread, message.messages);
      break;
    case 'takenBack': {
      const run = journal.runs.find((other) => other.id === message.runId);
      if (!run) break;
      run.takenBack = true;
      dirty.add(run.id);
      break;
    }
    case 'scene':
      ({ scene } = message);
      break;
    case 'compose':
      current = message.thread;
      redraw();
      box.focus();
      break;
  }
}

window.addEventListener('message', (event: MessageEvent<Message[]>) => {
  for (const message of event.data) take(message);
  schedule();
});
/** How often what moves by itself is drawn again: in VS Code in a browser the page shares a thread with the editor. */
const TICK_MS = 500;
setInterval(() => {
  for (const card of cards.values()) if (card.running) card.tick();
}, TICK_MS);
const kept = vscode.getState() as { draft?: string } | undefined;
box.value = kept?.draft ?? '';
grow();
schedule();
send({ type: 'ready' });
