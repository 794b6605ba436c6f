/** Numbers as people read them: the status bar, its hover, and the view all write them the same way. */

import type { Status } from './protocol';

/** `950`, `12k`, `1.2M`. */
export function count(n: number): string {
  if (n < 1000) return String(Math.round(n));
  if (n < 999_500) return `${n < 9_950 ? (n / 1000).toFixed(1) : Math.round(n / 1000)}k`;
  return `${(n / 1_000_000).toFixed(1)}M`;
}

/** `$0.0042`, `$0.12`, `$3.40`. */
export function dollars(n: number): string {
  if (n <= 0) return '$0';
  return n < 0.01 ? `$${n.toFixed(4)}` : `$${n.toFixed(2)}`;
}

/** `4 ms`, `0.8 s`, `12 s`, `2 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms < 0.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 59_500) return `${Math.round(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** A share as a percentage, without decimals. */
export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

/** A model's name without its provider: the status bar is narrow. */
export function shortModel(model: string): string {
  return model.slice(model.indexOf('/') + 1);
}

/** How full the conversation is; nothing is said where the window is not known. */
export function contextShare(status: Status): number | undefined {
  return status.tokens.window > 0 ? status.tokens.context / status.tokens.window : undefined;
}

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** One character for each value, the highest at full height; zero stays at the bottom. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(...values, 0);
  return values
    .map((value) => BARS[top > 0 ? Math.min(BARS.length - 1, Math.ceil((value / top) * (BARS.length - 1))) : 0])
    .join('');
}

/** How a counter grew over the last minutes, in slots of equal length. */
export class Trend {
  private readonly slots: { slot: number; grown: number }[] = [];
  private last: number | undefined;

  constructor(
    private readonly slotMs: number,
    private readonly length: number,
  ) {}

  /** The counter stands at `value` now. A smaller one than before is a new server's. */
  note(value: number, nowMs: number): void {
    const grown = this.last === undefined || value < this.last ? 0 : value - this.last;
    this.last = value;
    const slot = Math.floor(nowMs / this.slotMs);
    const newest = this.slots.at(-1);
    if (newest?.slot === slot) newest.grown += grown;
    else this.slots.push({ slot, grown });
    while (this.slots.length > this.length) this.slots.shift();
  }

  /** Growth in each slot, oldest first. */
  values(nowMs: number): number[] {
    const now = Math.floor(nowMs / this.slotMs);
    const at = new Map(this.slots.map(({ slot, grown }) => [slot, grown]));
    return Array.from({ length: this.length }, (_, i) => at.get(now - this.length + 1 + i) ?? 0);
  }
}

/** The rows of the readout; what was not measured has no row. */
export function readout(status: Status): [string, string][] {
  const rows: [string, string][] = [];
  const { tokens, latencyMs, cacheHitRate, tools } = status;
  if (status.model) rows.push(['Model', status.model]);
  const share = contextShare(status);
  if (share !== undefined && tokens.context > 0) {
    rows.push(['Context', `${count(tokens.context)} of ${count(tokens.window)} (${percent(share)})`]);
  }
  const cached = tokens.cached > 0 ? `, ${count(tokens.cached)} cached` : '';
  rows.push(['Tokens', `${count(tokens.input)} in${cached}, ${count(tokens.output)} out`]);
  rows.push(['Cost', `${dollars(status.costUsd.run)} this run, ${dollars(status.costUsd.session)} this session`]);
  const latency = (name: string, p: { p50: number; p95: number; p99: number }): void => {
    if (p.p99 > 0) rows.push([name, `${duration(p.p50)} · ${duration(p.p95)} · ${duration(p.p99)}`]);
  };
  latency('First token, p50 · p95 · p99', latencyMs.firstToken);
  latency('Model call', latencyMs.request);
  latency('Tool', latencyMs.tool);
  if (tools.done + tools.failed > 0) {
    const failed = tools.failed > 0 ? `, ${tools.failed} failed` : '';
    rows.push(['Tools', `${tools.done} done${failed}, ${tools.peak} at once at most`]);
  }
  const won = [status.wonMs?.stream ?? 0, status.wonMs?.parallel ?? 0] as const;
  if (won[0] + won[1] >= 1) rows.push(['Time won', `${duration(won[0])} by starting tools early, ${duration(won[1])} side by side`]);
  const rates = Object.entries(cacheHitRate)
    .filter((rate): rate is [string, number] => typeof rate[1] === 'number')
    .map(([name, rate]) => `${name} ${percent(rate)}`);
  if (rates.length > 0) rows.push(['Cache hits', rates.join(', ')]);
  if (status.http.reuseRate !== undefined) rows.push(['Connections reused', percent(status.http.reuseRate)]);
  if (status.cpu?.share !== undefined) rows.push(['Processor', `${percent(status.cpu.share)} of one core`]);
  if (status.rssBytes > 0) rows.push(['Memory', `${(status.rssBytes / 1_048_576).toFixed(1)} MiB`]);
  rows.push(['Up', duration(status.uptimeMs)]);
  return rows;
}
