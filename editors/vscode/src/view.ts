/**
 * The live view's side in the extension: keeps the journal, hands it to the webview, and does what is clicked there.
 *
 * The page may load its own two files and nothing else: no inline script, no remote anything. What it shows came from
 * models and repositories, so what it sends back is checked like any other input.
 */

import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import { apply, decide, emptyJournal, know, lose, type Known, type Run } from './journal';
import type { Ask, DumpedMessage, ListedThread, Outcome, RunEvent, Status } from './protocol';
import type { Life } from './server';

/** How often the page is told what happened: often enough for the eye, seldom enough for the typist. */
const PACE_MS = 200;
const MAX_PROMPT = 20_000;

/** Commands that the page may have run. */
const VIEW_COMMANDS = ['restart', 'showLog', 'selectModel', 'setKey', 'manageTrust'] as const;
export type ViewCommand = (typeof VIEW_COMMANDS)[number];

/** What the page asks for. */
export interface ViewHost {
  send(text: string, thread: string | undefined): void;
  cancel(runId: string | undefined): void;
  answer(ask: number, choice: string): void;
  takeBack(runId: string): void;
  /** About all that waits, or one file. */
  decide(run: Run, accept: boolean, uri: string | undefined): void;
  /** A conversation of an earlier session is to be read. */
  recall(thread: string): void;
  diff(run: Run, uri: string): void;
  report(runId: string): void;
  command(name: ViewCommand): void;
  /** What this server can do, for the buttons. */
  can(): { report: boolean };
}

/** What the page is told besides events. */
export interface Scene {
  life: Life;
  /** Whether the user trusts the folder. */
  trusted: boolean;
  status?: Status;
  asks: Ask[];
  can: { report: boolean };
  /** Conversations of earlier sessions, the one used last first. */
  earlier?: ListedThread[];
}

export class LiveView implements vscode.WebviewViewProvider {
  readonly journal = emptyJournal();
  private view: vscode.WebviewView | undefined;
  private queue: object[] = [];
  private timer: NodeJS.Timeout | undefined;
  private scene: Scene = { life: 'stopped', trusted: vscode.workspace.isTrusted, asks: [], can: { report: false } };
  /** Told when the view appears or goes. */
  visibilityChanged: (visible: boolean) => void = () => undefined;

  constructor(
    private readonly extension: vscode.Uri,
    private readonly host: ViewHost,
  ) {}

  get visible(): boolean {
    return this.view?.visible ?? false;
  }

  event(event: RunEvent): Run | undefined {
    const run = apply(this.journal, event);
    if (run) this.post({ type: 'event', event });
    return run;
  }

  know(known: Known): Run {
    const run = know(this.journal, known);
    this.post({ type: 'know', known });
    return run;
  }

  lost(why: string): void {
    lose(this.journal, why);
    this.reset();
  }

  takenBack(runId: string): void {
    const run = this.journal.runs.find((other) => other.id === runId);
    if (run) run.takenBack = true;
    this.post({ type: 'takenBack', runId });
  }

  decided(runId: string, uris: readonly string[], outcome?: Outcome): void {
    decide(this.journal, runId, uris, outcome);
    this.post({ type: 'decided', runId, uris, outcome });
  }

  /** What was said in a conversation of an earlier session. */
  recalled(thread: string, messages: readonly DumpedMessage[]): void {
    this.post({ type: 'recalled', thread, messages });
  }

  show(change: Partial<Scene>): void {
    this.scene = { ...this.scene, ...change, can: this.host.can() };
    this.post({ type: 'scene', scene: this.scene });
  }

  /** The keyboard goes to the box where one writes. */
  compose(thread?: string): void {
    this.post({ type: 'compose', thread });
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const dist = vscode.Uri.joinPath(this.extension, 'dist');
    view.webview.options = { enableScripts: true, localResourceRoots: [dist] };
    view.webview.html = page(view.webview, dist);
    view.webview.onDidReceiveMessage((message: unknown) => {
      this.received(message);
    });
    view.onDidChangeVisibility(() => {
      if (view.visible) this.reset();
      this.visibilityChanged(view.visible);
    });
    view.onDidDispose(() => {
      this.view = undefined;
      this.visibilityChanged(false);
    });
    this.visibilityChanged(view.visible);
  }

  private reset(): void {
    this.queue = [];
    // As it stands now: what comes before this is sent is sent behind it, and would be told twice.
    this.post({ type: 'reset', journal: structuredClone(this.journal), scene: this.scene });
  }

  private post(message: object): void {
    if (!this.view?.visible) return;
    this.queue.push(message);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const messages = this.queue;
      this.queue = [];
      if (messages.length > 0) void this.view?.webview.postMessage(messages);
    }, PACE_MS);
  }

  private received(raw: unknown): void {
    if (typeof raw !== 'object' || raw === null) return;
    const message = raw as Record<string, unknown>;
    const text = (key: string): string | undefined => {
      const value = message[key];
      return typeof value === 'string' ? value : undefined;
    };
    const run = this.journal.runs.find((other) => other.id === text('run'));
    switch (message['type']) {
      case 'ready':
        this.reset();
        break;
      case 'send': {
        const prompt = text('text')?.slice(0, MAX_PROMPT).trim();
        if (prompt) this.host.send(prompt, text('thread'));
        break;
      }
      case 'cancel':
        this.host.cancel(run?.id);
        break;
      case 'answer': {
        const choice = text('choice');
        if (typeof message['ask'] === 'number' && choice) this.host.answer(message['ask'], choice);
        break;
      }
      case 'takeBack':
        if (run) this.host.takeBack(run.id);
        break;
      case 'accept':
      case 'reject':
        if (run) this.host.decide(run, message['type'] === 'accept', text('uri'));
        break;
      case 'recall': {
        const thread = text('thread');
        if (thread && this.scene.earlier?.some((other) => other.threadId === thread)) this.host.recall(thread);
        break;
      }
      case 'diff': {
        const uri = text('uri');
        if (run && uri && run.staged.some((file) => file.uri === uri)) this.host.diff(run, uri);
        break;
      }
      case 'report':
        if (run) this.host.report(run.id);
        break;
      case 'command': {
        const name = text('name');
        const known = VIEW_COMMANDS.find((other) => other === name);
        if (known) this.host.command(known);
        break;
      }
      default:
        break;
    }
  }
}

function page(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomBytes(18).toString('base64url');
  const at = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(dist, name)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${at('view.css')}">
<title>Ropeway</title>
</head>
<body>
<script nonce="${nonce}" src="${at('view.js')}"></script>
</body>
</html>`;
}
