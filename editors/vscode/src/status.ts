/** The status bar item: one line always, a table on hover, a menu on click. */

import * as vscode from 'vscode';
import { Trend, contextShare, dollars, duration, percent, readout, shortModel, sparkline } from './numbers';
import { advice, type Outcome, type State, type Status } from './protocol';
import type { Life } from './server';

/** None turns: an animation as long as a run costs whoever types, where the screen is drawn by software. */
const ICONS: Record<State, string> = {
  idle: '$(sparkle)',
  thinking: '$(pulse)',
  acting: '$(tools)',
  waiting: '$(bell-dot)',
  applying: '$(edit)',
  error: '$(error)',
};

/** Twelve slots of fifteen seconds: three minutes. */
const SLOT_MS = 15_000;
const SLOTS = 12;

export class StatusBar implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;
  private readonly trend = new Trend(SLOT_MS, SLOTS);
  private status: Status | undefined;
  private life: Life = 'stopped';
  private failure: Outcome['error'];

  constructor() {
    this.item = vscode.window.createStatusBarItem('status', vscode.StatusBarAlignment.Right, 90);
    this.item.name = 'Ropeway';
    this.item.command = 'ropeway.menu';
    this.draw();
    this.item.show();
  }

  lives(life: Life): void {
    this.life = life;
    if (life !== 'running') this.status = undefined;
    this.draw();
  }

  tell(status: Status): void {
    this.status = status;
    this.trend.note(status.tokens.output, Date.now());
    this.draw();
  }

  /** What a run came to: its error stays in sight until the next run. */
  ended(outcome: Outcome | undefined): void {
    this.failure = outcome?.status === 'failed' ? outcome.error : undefined;
    this.draw();
  }

  dispose(): void {
    this.item.dispose();
  }

  private draw(): void {
    const { status, item } = this;
    item.backgroundColor = undefined;
    if (this.life !== 'running' || !status) {
      const broken = this.life === 'ended';
      item.text = broken ? '$(error) Ropeway: ended' : this.life === 'stopped' ? '$(circle-slash) Ropeway' : '$(loading~spin) Ropeway';
      if (broken) item.backgroundColor = new vscode.ThemeColor('statusBarItem.errorBackground');
      item.tooltip = this.hover(broken ? "Ropeway's server has ended." : `Ropeway's server is ${this.life}.`, broken);
      item.accessibilityInformation = { label: `Ropeway: server ${this.life}`, role: 'button' };
      return;
    }
    const state = this.failure && status.state === 'idle' ? 'error' : status.state;
    const parts = [state === 'idle' ? 'Ropeway' : state];
    if (status.model) parts.push(shortModel(status.model));
    const share = contextShare(status);
    if (share !== undefined && status.tokens.context > 0) parts.push(`ctx ${percent(share)}`);
    if (status.costUsd.session > 0) parts.push(dollars(status.costUsd.session));
    if (status.latencyMs.firstToken.p95 > 0) parts.push(`p95 ${duration(status.latencyMs.firstToken.p95)}`);
    item.text = `${ICONS[state]} ${parts.join(' · ')}`;
    if (state === 'error') item.backgroundColor = new vscode.ThemeColor('statusBarItem.errorBackground');
    if (state === 'waiting') item.backgroundColor = new vscode.ThemeColor('statusBarItem.warningBackground');
    const mend = state === 'error' ? this.failure : undefined;
    item.tooltip = this.hover(mend ? advice(mend) : '', state === 'error');
    item.accessibilityInformation = { label: `Ropeway: ${parts.join(', ')}`, role: 'button' };
  }

  private hover(message: string, broken: boolean): vscode.MarkdownString {
    const text = new vscode.MarkdownString(undefined, true);
    text.isTrusted = { enabledCommands: ['ropeway.menu', 'ropeway.view.focus', 'ropeway.restart', 'ropeway.showLog', 'workbench.trust.manage'] };
    // `appendText` would make every space one at which no line may break.
    if (message) text.appendMarkdown(`${prose(message)}\n\n`);
    if (this.status) {
      text.appendMarkdown('| | |\n| :-- | :-- |\n');
      // The hover leaves next to nothing between columns.
      for (const [name, value] of readout(this.status)) text.appendMarkdown(`| ${cell(name)}&emsp; | ${cell(value)} |\n`);
      const values = this.trend.values(Date.now());
      if (values.some((value) => value > 0)) {
        const minutes = (SLOT_MS * SLOTS) / 60_000;
        text.appendMarkdown(`| Output, last ${minutes} min | \`${sparkline(values)}\` |\n`);
      }
      text.appendMarkdown('\n');
    }
    if (!vscode.workspace.isTrusted) text.appendMarkdown('Restricted Mode: no commands are run here.\n\n');
    const links = ['[Live View](command:ropeway.view.focus)', '[Log](command:ropeway.showLog)'];
    if (!vscode.workspace.isTrusted) links.push('[Manage Trust](command:workbench.trust.manage)');
    if (broken && this.life === 'ended') links.unshift('[Restart](command:ropeway.restart)');
    text.appendMarkdown(links.join(' · '));
    return text;
  }
}

/** A model's name is whatever its provider calls it: nothing in it may act as Markdown. */
function cell(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+!|<>~$-]/g, '\\$&');
}

/** The same for words that name a command between backticks, which is to look like one. */
function prose(text: string): string {
  return text.split(/(`[\w ./=-]+`)/).map((part, at) => (at % 2 === 1 ? part : cell(part))).join('');
}
