/** What a question of the server consists of, to show it so that the command is seen first. */

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
