/** What messages of the server consist of, to show the part that is looked for first. */

export interface Question {
  lead: string;
  command?: string;
  why?: string;
}

/**
 * The parts of a message such as `Ropeway wants to run: CMD — why`. A command may hold a dash itself: all up to the last
 * one is taken for it, so that no part of a command passes for the server's own words.
 */
export function question(message: string): Question {
  const parts = /^(Ropeway wants to run(?: in [^:]*)?): ([\s\S]+) — ([\s\S]*)$/.exec(message);
  if (!parts?.[1] || !parts[2]) return { lead: message };
  return { lead: `${parts[1]}:`, command: parts[2], why: parts[3] };
}

const GIST = 80;

/** What stands for a message that is folded: its first words. One that the server wraps in a tag goes by the tag's name. */
export function gist(text: string): string {
  const first = text.trim().split('\n', 1)[0] ?? '';
  const tag = /^<(\w+)>$/.exec(first)?.[1]?.replaceAll('_', ' ');
  if (tag) return `${tag.charAt(0).toUpperCase()}${tag.slice(1)}`;
  if (first.length <= GIST) return first;
  return `${first.slice(0, GIST).replace(/\s+\S*$/, '')}…`;
}
