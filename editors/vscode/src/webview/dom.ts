/** Making elements. Text only ever goes in as text: nothing here parses HTML. */

import { parse, type Block, type Inline } from './markdown';

type Child = Node | string | undefined | false;

interface Options {
  class?: string;
  attrs?: Record<string, string>;
  on?: Record<string, (event: Event) => void>;
}

/** An element with its class, attributes, listeners and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  options: Options = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (options.class) element.className = options.class;
  for (const [name, value] of Object.entries(options.attrs ?? {})) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(options.on ?? {})) element.addEventListener(name, listener);
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

export function button(label: string, press: () => void, style = 'secondary', aria = label): HTMLButtonElement {
  return h('button', { class: style, attrs: { type: 'button', 'aria-label': aria }, on: { click: press } }, label);
}

/** Sets a text only where it differs, so that a screen reader is not told the same again. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Text with its code and stress. */
export function spans(parts: readonly Inline[]): Node[] {
  return parts.map(({ kind, text }) =>
    kind === 'text' ? document.createTextNode(text) : h(kind === 'code' ? 'code' : kind, {}, text),
  );
}

function element(block: Block): HTMLElement {
  switch (block.kind) {
    case 'code': {
      const attrs = { tabindex: '0', 'aria-label': `Code ${block.language}`.trim() };
      return h('pre', { class: 'code', attrs }, block.text);
    }
    case 'heading':
      return h('h3', {}, ...spans(block.inline));
    case 'item': {
      const marker = h('span', { class: 'marker' }, block.marker);
      return h('div', { class: `item depth-${block.depth}` }, marker, h('span', {}, ...spans(block.inline)));
    }
    case 'quote':
      return h('blockquote', {}, ...spans(block.inline));
    case 'paragraph':
      return h('p', {}, ...spans(block.inline));
  }
}

/** What an element shows: the text, where each block begins in it, and what the last one is. */
interface Shown {
  text: string;
  starts: number[];
  last: string;
}

const shown = new WeakMap<HTMLElement, Shown>();

/** Draws an answer into `into`. One that has grown is read on from its last block, and only that is made anew. */
export function render(into: HTMLElement, text: string): void {
  const before = shown.get(into);
  const kept = before && text.startsWith(before.text) ? Math.max(before.starts.length - 1, 0) : 0;
  const from = (kept > 0 && before?.starts[kept]) || 0;
  const { blocks, starts } = parse(text.slice(from));
  const first = JSON.stringify(blocks[0]);
  const same = before !== undefined && kept === before.starts.length - 1 && first === before.last;
  while (into.childElementCount > kept + (same ? 1 : 0)) into.lastElementChild?.remove();
  into.append(...blocks.slice(same ? 1 : 0).map(element));
  const all = [...(before?.starts.slice(0, kept) ?? []), ...starts.map((start) => from + start)];
  shown.set(into, { text, starts: all, last: JSON.stringify(blocks.at(-1)) });
}

const MAX_LINES = 300;

/** A unified diff in colours; the names it begins with stand in the summary already. */
export function diffLines(diff: string): HTMLElement {
  const pre = h('pre', { class: 'lines', attrs: { tabindex: '0', 'aria-label': 'Diff' } });
  const from = Math.max(diff.search(/^@@/m), 0);
  // Empty lines of context at either end say nothing.
  const lines = diff.slice(from).replace(/^(@@.*\n)(?: ?\n)+/, '$1').replace(/(?:\n ?)+$/, '').split('\n');
  lines.slice(0, MAX_LINES).forEach((line, at) => {
    if (line.startsWith('@@')) {
      if (at > 0) pre.append(h('span', { class: 'hunk' }, '⋯'));
      return;
    }
    const kind = line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : 'same';
    pre.append(h('span', { class: kind }, line === '' ? ' ' : line));
  });
  if (lines.length > MAX_LINES) pre.append(h('span', { class: 'hunk' }, `… ${lines.length - MAX_LINES} lines more`));
  return pre;
}
