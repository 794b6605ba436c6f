/**
 * Which settings go to the server, and in what shape. Their names are those of the configuration file, so nothing is
 * translated here; what a user did not set is not sent, so that it does not hide what stands in a file.
 */

/** Keys below `ropeway.` that are the server's; the others are this client's own. */
export const SERVER_SETTINGS = [
  'model',
  'profile',
  'agent.max_steps',
  'agent.max_cost_usd',
  'edits.mode',
  'permissions.allow',
  'permissions.ask',
  'permissions.deny',
  'tools.disabled',
  'recording.enabled',
] as const;

type Tree = { [key: string]: unknown };

/** The section `ropeway` as the server reads it, from the values that were set by the user. */
export function section(valueOf: (key: string) => unknown): Tree {
  const tree: Tree = {};
  for (const key of SERVER_SETTINGS) {
    const value = valueOf(key);
    // An empty string is how the settings editor writes "not set".
    if (value === undefined || value === null || value === '') continue;
    let at = tree;
    const parts = key.split('.');
    const last = parts.pop() ?? key;
    for (const part of parts) at = (at[part] ??= {}) as Tree;
    at[last] = value;
  }
  return tree;
}

/** Whether a server of this version speaks what this client expects: the same release line. */
export function compatible(client: string, server: string | undefined): boolean {
  const line = (version: string): string => version.split('.').slice(0, 2).join('.');
  return server !== undefined && line(client) === line(server);
}

/** How long ago ends of the server still count, and how many of them are put up with. */
const MEMORY_MS = 3 * 60_000;
const PATIENCE = 3;

/** Decides whether a server that ended by itself is started again: not for ever. */
export class Restarts {
  private ends: number[] = [];

  /** The server ended at this time; whether to start it again. */
  again(nowMs: number): boolean {
    this.ends = this.ends.filter((end) => nowMs - end < MEMORY_MS);
    this.ends.push(nowMs);
    return this.ends.length < PATIENCE;
  }

  /** The user starts it: the count begins anew. */
  forget(): void {
    this.ends = [];
  }
}

/** The last lines that the server wrote before it ended; for the message that says so. */
export class Tail {
  private text = '';

  add(chunk: string): void {
    this.text = (this.text + chunk).slice(-4000);
  }

  /** The last line that says anything, without colours and times. */
  last(): string {
    const plain = this.text.replace(/\u001b\[[0-9;]*m/g, '');
    const line = plain.split('\n').findLast((other) => other.trim() !== '');
    return (line ?? '').trim().replace(/^\d{4}-\S+\s+/, '').slice(0, 300);
  }
}

/** Instructions given before, the newest first, each once. */
export function remember(history: readonly string[], prompt: string, most = 50): string[] {
  return [prompt, ...history.filter((other) => other !== prompt)].slice(0, most);
}
