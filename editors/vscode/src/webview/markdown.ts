/**
 * The little Markdown that models write, as a tree. There is no HTML in it and no link to follow: what stands in an
 * answer may come from a hostile file, and is text to be read.
 */

export interface Inline {
  kind: 'text' | 'code' | 'strong' | 'em';
  text: string;
}

export type Block =
  | { kind: 'paragraph'; inline: Inline[] }
  | { kind: 'heading'; inline: Inline[] }
  | { kind: 'item'; depth: number; marker: string; inline: Inline[] }
  | { kind: 'quote'; inline: Inline[] }
  | { kind: 'code'; language: string; text: string };

const SPAN = /(`+)(.+?)\1|\*\*(\S(?:.*?\S)?)\*\*|\*(\S(?:[^*]*?\S)?)\*/g;
/** Longer lines are shown as they stand: no pattern is to be tried on a megabyte. */
const MAX_LINE = 2000;

export function inline(text: string): Inline[] {
  if (text.length > MAX_LINE) return [{ kind: 'text', text }];
  const result: Inline[] = [];
  let at = 0;
  for (const match of text.matchAll(SPAN)) {
    if (match.index > at) result.push({ kind: 'text', text: text.slice(at, match.index) });
    if (match[2] !== undefined) result.push({ kind: 'code', text: match[2].trim() });
    else if (match[3] !== undefined) result.push({ kind: 'strong', text: match[3] });
    else result.push({ kind: 'em', text: match[4] ?? '' });
    at = match.index + match[0].length;
  }
  if (at < text.length) result.push({ kind: 'text', text: text.slice(at) });
  return result;
}

export function markdown(text: string): Block[] {
  return parse(text).blocks;
}

/**
 * The blocks of a text, and where each begins in it. More text at the end can change the last block only, so that an
 * answer that streams is read on from there.
 */
export function parse(text: string): { blocks: Block[]; starts: number[] } {
  const blocks: Block[] = [];
  const starts: number[] = [];
  let paragraph: string[] = [];
  let began = 0;
  const add = (block: Block, at: number): void => {
    blocks.push(block);
    starts.push(at);
  };
  const end = (): void => {
    if (paragraph.length > 0) add({ kind: 'paragraph', inline: inline(paragraph.join(' ')) }, began);
    paragraph = [];
  };
  const lines = text.split('\n');
  let next = 0;
  for (let i = 0; i < lines.length; i += 1) {
    const at = next;
    next += (lines[i] ?? '').length + 1;
    const line = (lines[i] ?? '').replace(/\r$/, '');
    const fence = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)/.exec(line);
    if (fence?.[1]) {
      end();
      const code: string[] = [];
      // A fence that is still open while the answer streams holds what has come so far.
      for (i += 1; i < lines.length && !(lines[i] ?? '').trim().startsWith(fence[1]); i += 1) {
        code.push((lines[i] ?? '').replace(/\r$/, ''));
        next += (lines[i] ?? '').length + 1;
      }
      next += (lines[i] ?? '').length + 1;
      add({ kind: 'code', language: fence[2] ?? '', text: code.join('\n') }, at);
      continue;
    }
    const heading = /^#{1,6}\s+(.*)$/.exec(line);
    const item = /^(\s*)([-*+]|\d{1,3}[.)])\s+(.*)$/.exec(line);
    if (line.trim() === '') end();
    else if (heading) {
      end();
      add({ kind: 'heading', inline: inline(heading[1] ?? '') }, at);
    } else if (item) {
      end();
      const marker = item[2] ?? '-';
      const depth = Math.min(Math.floor((item[1]?.length ?? 0) / 2), 5);
      add({ kind: 'item', depth, marker: /\d/.test(marker) ? marker : '•', inline: inline(item[3] ?? '') }, at);
    } else if (line.startsWith('>')) {
      end();
      add({ kind: 'quote', inline: inline(line.replace(/^>\s?/, '')) }, at);
    } else {
      if (paragraph.length === 0) began = at;
      paragraph.push(line.trim());
    }
  }
  end();
  return { blocks, starts };
}
