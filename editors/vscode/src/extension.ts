/**
 * Ropeway's client for VS Code: puts the parts together. Whatever could live in the server does; this side only shows,
 * asks and applies.
 */

import * as vscode from 'vscode';
import { Asks } from './asks';
import { Commands } from './commands';
import { Edits } from './edits';
import { waiting, type Run } from './journal';
import { Progress } from './progress';
import {
  RUN,
  THREADS,
  asOrder,
  needsPrompt,
  type ListedThread,
  type RunEvent,
  type Started,
  type Status,
} from './protocol';
import { Reports } from './report';
import { Server } from './server';
import { StatusBar } from './status';
import { LiveView } from './view';

export function activate(context: vscode.ExtensionContext): void {
  const began = performance.now();
  const log = vscode.window.createOutputChannel('Ropeway', { log: true });
  const server = new Server(context, log);
  const status = new StatusBar();
  const asks = new Asks();
  const edits = new Edits(context);
  const reports = new Reports();
  const view = new LiveView(context.extensionUri, {
    send: (prompt, thread) => void guard(commands.order({ action: 'task', prompt, thread })),
    cancel: (run) => void guard(commands.stop(run)),
    answer: (ask, choice) => {
      asks.answer(ask, choice);
    },
    takeBack: (run) => void guard(commands.takeBack(run)),
    decide: (run, accept, uri) => void guard(commands.decide(run, accept, uri === undefined ? undefined : [uri])),
    recall: (thread) => void guard(commands.recall(thread)),
    diff: (run, uri) => void guard(edits.showDiff(run, uri)),
    report: (run) => void guard(commands.report(run)),
    command: (name) =>
      void vscode.commands.executeCommand(name === 'manageTrust' ? 'workbench.trust.manage' : `ropeway.${name}`),
    can: () => ({ report: server.has('ropeway.report') }),
  });
  const commands = new Commands(context, server, view, edits, reports);
  const guard = async (work: Promise<unknown>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      void vscode.window.showErrorMessage(`Ropeway: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  /** Whether the buttons of a proposal are shown. */
  const proposals = (): void => {
    const any = view.journal.runs.some((run) => waiting(run).length > 0);
    void vscode.commands.executeCommand('setContext', 'ropeway.proposed', any);
  };
  context.subscriptions.push(log, server, status, edits, reports);
  context.subscriptions.push(vscode.window.registerWebviewViewProvider('ropeway.view', view));

  asks.inView = () => view.visible;
  asks.changed = () => {
    view.show({ asks: asks.list() });
  };
  // Conversations of earlier sessions are looked up only where somebody sees them.
  const listEarlier = async (): Promise<void> => {
    if (view.visible && server.has(THREADS)) view.show({ earlier: await server.execute<ListedThread[]>(THREADS) });
  };
  const progress = new Progress((token) => {
    const run = String(token).replace(/^ropeway\//, '');
    void guard(commands.stop(run));
  });
  view.visibilityChanged = (visible) => {
    progress.viewShows(visible);
    if (visible) void guard(listEarlier());
    else asks.viewHidden();
  };

  server.middleware = {
    // Code actions carry `ropeway.run`: the instruction is asked for here, and the run is known by its conversation.
    executeCommand: async (command, args, next) => {
      const order = command === RUN ? asOrder(args[0]) : undefined;
      if (!order) return (await next(command, args)) as unknown;
      if (needsPrompt(order)) return commands.order(order);
      const started = (await next(command, args)) as Started;
      view.know({ runId: started.runId, threadId: started.threadId, prompt: order.prompt });
      return started;
    },
    window: {
      showDocument: async (params, next) => {
        if (params.external && (await reports.show(params.uri))) return { success: true };
        const shown = await next(params, new vscode.CancellationTokenSource().token);
        return 'success' in shown ? shown : { success: false };
      },
    },
    handleWorkDoneProgress: (token, value, next) => {
      if (String(token).startsWith('ropeway/')) progress.handle(token, value);
      else next(token, value);
    },
  };
  server.prepare = (client) => {
    edits.hook(client);
    asks.hook(client);
    client.onNotification('ropeway/status', (told: Status) => {
      status.tell(told);
      view.show({ status: told });
    });
    client.onNotification('ropeway/event', (event: RunEvent) => {
      const run = view.event(event);
      if (event.kind === 'started') {
        edits.clear();
        status.ended(undefined);
      }
      if (event.kind !== 'finished' || !run?.outcome) return;
      const { outcome } = run;
      proposals();
      status.ended(outcome);
      if (outcome.status === 'proposed') void guard(offer(commands, edits, run));
      // The view may be closed; nothing is opened under someone's typing.
      if (outcome.status === 'answered' && !view.visible) void answered(run.title);
    });
  };
  server.onChange((life) => {
    status.lives(life);
    view.show({ life, status: undefined });
    if (life === 'running') void guard(listEarlier());
    void vscode.commands.executeCommand('setContext', 'ropeway.running', life === 'running');
  });
  server.onLost((why) => {
    asks.forget();
    progress.forget();
    view.lost(why);
    proposals();
  });

  commands.decided = proposals;
  commands.register();
  context.subscriptions.push(
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      view.show({ trusted: true });
      void server.restart();
    }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration('ropeway.server')) void server.restart();
      else if (event.affectsConfiguration('ropeway')) server.configurationChanged();
    }),
  );
  // The server starts beside: nothing in the editor waits for it.
  void server.start();
  log.info(`Activated in ${(performance.now() - began).toFixed(1)} ms`);
}

async function answered(title: string): Promise<void> {
  const picked = await vscode.window.showInformationMessage(`Ropeway has answered: ${title}.`, 'Show');
  if (picked) await vscode.commands.executeCommand('ropeway.view.focus');
}

/** Mode `preview`: the edit waits for a yes, and the diff is there to look at. */
async function offer(commands: Commands, edits: Edits, run: Run): Promise<void> {
  await edits.showAll(run);
  const files = waiting(run);
  const one = files[0];
  const what = files.length === 1 && one ? vscode.workspace.asRelativePath(vscode.Uri.parse(one)) : `${files.length} files`;
  const choices = files.length === 1 ? ['Accept', 'Reject'] : ['Accept All', 'Reject All', 'Choose Files…'];
  const picked = await vscode.window.showInformationMessage(`Ropeway proposes changes to ${what}.`, ...choices);
  if (picked === 'Choose Files…') await commands.choose(run);
  else if (picked) await commands.decide(run, picked.startsWith('Accept'));
}
