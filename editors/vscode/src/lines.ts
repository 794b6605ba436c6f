/** Line ranges that follow the text: what the last run changed stays marked while the user types on. */

/** Lines, the end not included. An empty range stands for lines that were removed before `start`. */
export interface Lines {
  start: number;
  end: number;
}

/** A change of a text, in lines: these were replaced by so many (the lines touched at both ends included). */
export interface LineChange {
  first: number;
  last: number;
  /** Line breaks in the new text. */
  breaks: number;
}

/** The ranges after a change of the user's. What they rewrote whole is theirs: its mark goes. */
export function follow(ranges: readonly Lines[], change: LineChange): Lines[] {
  const grown = change.breaks - (change.last - change.first);
  const result: Lines[] = [];
  for (const range of ranges) {
    const { start, end } = range;
    if (end <= change.first || (end === start && start <= change.first)) result.push(range);
    else if (start > change.last) result.push({ start: start + grown, end: end + grown });
    else if (change.first < start && change.last >= end) continue;
    else {
      const from = Math.min(start, change.first < start ? change.first + change.breaks : start);
      result.push({ start: from, end: Math.max(from, end + grown) });
    }
  }
  return result;
}

/** What an undo in the editor takes along: ranges whose text it replaces whole, and those that are left. */
export function undone(ranges: readonly Lines[], change: LineChange): { gone: Lines[]; left: Lines[] } {
  const covers = ({ start, end }: Lines): boolean => change.first <= start && change.last >= Math.max(start, end - 1);
  return { gone: ranges.filter(covers), left: ranges.filter((range) => !covers(range)) };
}

/** A replacement that an edit makes: lines of the text before, and the new text. */
export interface Replacement {
  start: number;
  end: number;
  endCharacter: number;
  text: string;
}

/** Where the replacements of one edit stand in the text after it. */
export function landed(replacements: readonly Replacement[]): Lines[] {
  const result: Lines[] = [];
  let moved = 0;
  for (const { start, end, endCharacter, text } of [...replacements].sort((a, b) => a.start - b.start)) {
    const breaks = text.split('\n').length - 1;
    const from = start + moved;
    // A text that ends with a line break ends before the line that follows.
    const whole = text === '' || text.endsWith('\n');
    result.push({ start: from, end: from + breaks + (whole && endCharacter === 0 ? 0 : 1) });
    moved += breaks - (end - start);
  }
  return result;
}

/** A unified diff that does not fit the text. */
export class Misfit extends Error {}

/**
 * The text that a unified diff makes of another. Throws `Misfit` where the diff was cut or is for another text: what
 * is shown for acceptance must be what was proposed, or nothing.
 */
export function patched(text: string, diff: string): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const before = text.split(/\r?\n/);
  const after: string[] = [];
  let at = 0;
  let hunks = 0;
  const lines = diff.split(/\r?\n/);
  for (let i = 0; i < lines.length; ) {
    const head = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(lines[i] ?? '');
    i += 1;
    if (!head) continue;
    hunks += 1;
    let oldLeft = Number(head[2] ?? 1);
    let newLeft = Number(head[3] ?? 1);
    // With no old lines the number is of the line before the place.
    const start = Number(head[1]) - (oldLeft === 0 ? 0 : 1);
    if (start < at) throw new Misfit('hunks out of order');
    after.push(...before.slice(at, start));
    at = start;
    while (oldLeft > 0 || newLeft > 0) {
      const line = lines[i];
      if (line === undefined) throw new Misfit('the diff was cut');
      i += 1;
      const rest = line.slice(1);
      if (line.startsWith('\\')) continue;
      if (line.startsWith('+')) {
        after.push(rest);
        newLeft -= 1;
        continue;
      }
      if (!line.startsWith('-') && !line.startsWith(' ') && line !== '') throw new Misfit('not a diff');
      if (before[at] !== rest) throw new Misfit('another text');
      if (!line.startsWith('-')) {
        after.push(rest);
        newLeft -= 1;
      }
      at += 1;
      oldLeft -= 1;
    }
  }
  if (hunks === 0) throw new Misfit('no hunks');
  after.push(...before.slice(at));
  return after.join(eol);
}
