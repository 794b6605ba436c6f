/** The commands of the palette, the menus and the keys: each asks what it must, then has the server do it. */

import * as vscode from 'vscode';
import type { Edits } from './edits';
import { tally, waiting, type Run } from './journal';
import { count, dollars } from './numbers';
import * as protocol from './protocol';
import type { Reports } from './report';
import type { DumpedMessage, ListedModel, Order, Outcome, Started } from './protocol';
import { KEY_PREFIX, type Server } from './server';
import { remember } from './settings';
import type { LiveView } from './view';

const HISTORY = 'prompts';
/** The variables that the built-in providers read. */
const KEYS = ['ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'GEMINI_API_KEY'];

/** An entry of the menu that a click on the status bar opens. */
interface Entry extends vscode.QuickPickItem {
  run: () => unknown;
}

export class Commands {
  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly server: Server,
    private readonly view: LiveView,
    private readonly edits: Edits,
    private readonly reports: Reports,
  ) {}

  register(): void {
    const add = (name: string, run: (...args: unknown[]) => unknown): void => {
      const guarded = async (...args: unknown[]): Promise<unknown> => {
        try {
          return await run(...args);
        } catch (error) {
          void this.failed(error);
          return undefined;
        }
      };
      this.context.subscriptions.push(vscode.commands.registerCommand(`ropeway.${name}`, guarded));
    };
    for (const action of ['edit', 'explain', 'review', 'implement', 'refactor', 'simplify', 'document', 'test']) {
      add(action, () => this.here(action));
    }
    add('fixFile', () => this.here('fix-file'));
    add('ask', () => this.order({ action: 'task' }));
    add('stop', () => this.stop());
    add('takeBack', (run) => this.takeBack(typeof run === 'string' ? run : undefined));
    add('acceptEdits', () => this.decide(this.proposal(), true));
    add('rejectEdits', () => this.decide(this.proposal(), false));
    add('acceptFile', () => this.decideFile(true));
    add('rejectFile', () => this.decideFile(false));
    add('chooseEdits', () => this.choose(this.proposal()));
    add('reviewEdits', () => this.reviewEdits());
    add('selectModel', () => this.selectModel());
    add('setKey', () => this.setKey());
    add('menu', () => this.menu());
    add('followUp', async () => {
      await vscode.commands.executeCommand('ropeway.view.focus');
      this.view.compose(this.lastRun()?.thread);
    });
    add('newThread', async () => {
      await vscode.commands.executeCommand('ropeway.view.focus');
      this.view.compose();
    });
    add('compactThread', () => this.compact());
    add('clearThread', () => this.clear());
    add('showReport', () => this.report(this.lastRun()?.id));
    add('openReport', () => this.reports.openInBrowser());
    add('showReadout', () => this.readout());
    add('showLog', () => {
      this.server.log.show();
    });
    add('restart', () => this.server.restart());
    add('doctor', () => this.task('doctor', ['doctor']));
    add('demo', () => this.task('demo', ['demo']));
    add('openSettings', () => vscode.commands.executeCommand('workbench.action.openSettings', '@ext:ropeway.ropeway'));
    add('openWalkthrough', () =>
      vscode.commands.executeCommand('workbench.action.openWalkthrough', 'ropeway.ropeway#start', false),
    );
  }

  /** An action at the selection or cursor of the editor in front. */
  private async here(action: string): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const converter = this.server.converter;
    if (!editor || editor.document.uri.scheme !== 'file') {
      void vscode.window.showInformationMessage('Ropeway: open a file of your project first.');
      return;
    }
    if (!converter) throw new Error('the server is not running; `Ropeway: Restart Server` starts it');
    await this.order({
      action,
      uri: converter.asUri(editor.document.uri),
      range: converter.asRange(editor.selection),
    });
  }

  /** Starts a run, after asking for the instruction where the action needs one. */
  async order(order: Order): Promise<Started | undefined> {
    let prompt = order.prompt;
    if (protocol.needsPrompt(order)) {
      prompt = await this.instruction(order.action === 'edit' ? 'What to do with the selection' : 'What to do');
      if (!prompt) return undefined;
    }
    const started = await this.server.execute<Started>(protocol.RUN, { ...order, prompt });
    this.view.know({ runId: started.runId, threadId: started.threadId, prompt });
    return started;
  }

  /** An instruction, typed or from those given before. */
  private instruction(title: string): Promise<string | undefined> {
    const history = this.context.workspaceState.get<string[]>(HISTORY, []);
    const pick = vscode.window.createQuickPick();
    pick.title = `Ropeway: ${title}`;
    pick.placeholder = 'An instruction, in your words. Arrow down for earlier ones.';
    const draw = (): void => {
      const typed = pick.value.trim();
      const own: vscode.QuickPickItem[] = typed ? [{ label: `$(sparkle) ${typed}`, alwaysShow: true }] : [];
      const earlier = history.filter((prompt) => prompt !== typed);
      pick.items = [...own, ...earlier.map((prompt) => ({ label: prompt, iconPath: new vscode.ThemeIcon('history') }))];
    };
    draw();
    pick.onDidChangeValue(draw);
    return new Promise((resolve) => {
      pick.onDidAccept(() => {
        const chosen = pick.activeItems[0]?.label ?? '';
        const typed = pick.value.trim();
        const prompt = chosen.startsWith('$(sparkle) ') || !chosen ? typed : chosen;
        if (!prompt) return;
        void this.context.workspaceState.update(HISTORY, remember(history, prompt));
        resolve(prompt);
        pick.hide();
      });
      pick.onDidHide(() => {
        resolve(undefined);
        pick.dispose();
      });
      pick.show();
    });
  }

  async stop(runId?: string): Promise<void> {
    const { cancelled } = await this.server.execute<{ cancelled: string[] }>(protocol.CANCEL, runId ? { runId } : {});
    if (cancelled.length === 0) void vscode.window.setStatusBarMessage('Ropeway: nothing is running.', 4000);
  }

  async takeBack(runId?: string): Promise<void> {
    const outcome = await this.server.execute<Outcome>(protocol.REVERT, runId ? { runId } : {});
    if (outcome.status === 'applied') {
      this.view.takenBack(outcome.runId);
      this.edits.clear();
      void vscode.window.setStatusBarMessage('Ropeway: taken back; what you typed since is kept.', 6000);
    } else if (outcome.status === 'conflict') {
      this.view.takenBack(outcome.runId);
      void vscode.window.showWarningMessage('Ropeway: taken back but for the lines that you changed since.');
    } else {
      const why = outcome.error ? protocol.advice(outcome.error) : `It is ${outcome.status}.`;
      void vscode.window.showWarningMessage(`Ropeway: the run could not be taken back. ${why}`);
    }
  }

  /** Takes or drops what a run proposes: all that still waits, or these files. */
  async decide(run: Run | undefined, accept: boolean, uris?: readonly string[]): Promise<void> {
    const open = run ? waiting(run) : [];
    const these = uris ? open.filter((uri) => uris.includes(uri)) : open;
    if (!run || these.length === 0) {
      void vscode.window.showInformationMessage('Ropeway: no edit is waiting for you.');
      return;
    }
    const argument = these.length < open.length ? { runId: run.id, uris: these } : { runId: run.id };
    if (accept) {
      const outcome = await this.server.execute<Outcome>(protocol.ACCEPT, argument);
      this.view.decided(run.id, these, outcome);
      if (outcome.status === 'conflict') {
        const why = outcome.error ? protocol.advice(outcome.error) : 'Where you had changed the same lines, yours stand.';
        void vscode.window.showWarningMessage(`Ropeway: accepted in part. ${why}`);
      } else if (outcome.status !== 'applied' && outcome.status !== 'unchanged') {
        const why = outcome.error ? protocol.advice(outcome.error) : `It is ${outcome.status}.`;
        void vscode.window.showErrorMessage(`Ropeway: the edit could not be applied. ${why}`);
        return;
      }
    } else {
      await this.server.execute(protocol.REJECT, argument);
      this.view.decided(run.id, these);
    }
    this.decided();
    await this.edits.settled(run, these);
  }

  /** Told when something was decided. */
  decided: () => void = () => undefined;

  /** About the file whose diff is in front. */
  private async decideFile(accept: boolean): Promise<void> {
    const shown = this.edits.inFront();
    const run = this.view.journal.runs.find((other) => other.id === shown?.run);
    await this.decide(run, accept, shown && [shown.uri]);
  }

  /** Which files of a proposal are to be taken; the others are dropped. */
  async choose(run: Run | undefined): Promise<void> {
    const open = run ? waiting(run) : [];
    const items = open.map((uri) => {
      const at = vscode.Uri.parse(uri);
      const { added, removed } = tally(run?.staged.find((file) => file.uri === uri)?.diff ?? '');
      return { label: vscode.workspace.asRelativePath(at), description: `+${added} −${removed}`, picked: true, uri };
    });
    const picked = await vscode.window.showQuickPick(items, {
      title: 'Ropeway: which files to accept?',
      placeHolder: 'Ticked files are accepted, the others rejected',
      canPickMany: true,
    });
    if (!run || !picked) return;
    const accepted = picked.map(({ uri }) => uri);
    const rejected = open.filter((uri) => !accepted.includes(uri));
    if (accepted.length > 0) await this.decide(run, true, accepted);
    if (rejected.length > 0) await this.decide(run, false, rejected);
  }

  /** The run that waits for a decision: that of the diff in front, else the last one. */
  private proposal(): Run | undefined {
    const { runs } = this.view.journal;
    const shown = this.edits.inFront()?.run;
    return runs.find((run) => run.id === shown && waiting(run).length > 0) ?? runs.findLast((run) => waiting(run).length > 0);
  }

  /** What was said in a conversation of an earlier session, for the view. */
  async recall(threadId: string): Promise<void> {
    const { messages } = await this.server.execute<{ messages: DumpedMessage[] }>(protocol.DUMP, { threadId });
    this.view.recalled(threadId, messages);
  }

  private async reviewEdits(): Promise<void> {
    const run = this.view.journal.runs.findLast((other) => other.staged.length > 0);
    if (run) await this.edits.showAll(run);
    else void vscode.window.showInformationMessage('Ropeway: no run has staged an edit yet.');
  }

  async selectModel(): Promise<void> {
    const models = this.server.execute<ListedModel[]>(protocol.LIST_MODELS);
    interface Item extends vscode.QuickPickItem {
      model: ListedModel;
    }
    const items = models.then((list) =>
      list.map((model): Item => {
        const facts = [
          model.contextWindow ? `${count(model.contextWindow)} tokens` : '',
          model.price ? `${dollars(model.price.input)} in, ${dollars(model.price.output)} out per million` : '',
        ].filter((fact) => fact !== '');
        return {
          label: `${model.available ? '$(circle-filled)' : '$(circle-slash)'} ${model.id}`,
          description: facts.join(' · '),
          detail: model.available ? undefined : model.why,
          model,
        };
      }),
    );
    const picked = await vscode.window.showQuickPick(items, { title: 'Ropeway: model', matchOnDetail: true });
    if (picked) await this.server.execute(protocol.SET_MODEL, { model: picked.model.id });
  }

  /** A key goes to the secret storage, never to a file of settings. */
  async setKey(): Promise<void> {
    const name = await vscode.window.showQuickPick([...KEYS, 'Another variable…'], {
      title: 'Ropeway: API key for which provider?',
    });
    if (!name) return;
    const variable = KEYS.includes(name)
      ? name
      : await vscode.window.showInputBox({
          title: 'Ropeway: name of the variable',
          prompt: 'As `api_key_env` in your configuration names it',
          validateInput: (value) => (/^[A-Za-z_]\w*$/.test(value) ? undefined : 'Letters, digits and _'),
        });
    if (!variable) return;
    const key = await vscode.window.showInputBox({
      title: `Ropeway: ${variable}`,
      prompt: 'Kept in the secret storage of this editor. Empty: forget it.',
      password: true,
      ignoreFocusOut: true,
    });
    if (key === undefined) return;
    const names = this.context.globalState.get<string[]>('keys', []).filter((other) => other !== variable);
    if (key) {
      await this.context.secrets.store(KEY_PREFIX + variable, key);
      names.push(variable);
    } else {
      await this.context.secrets.delete(KEY_PREFIX + variable);
    }
    await this.context.globalState.update('keys', names);
    await this.server.restart();
  }

  private async menu(): Promise<void> {
    const running = this.view.journal.runs.some((run) => !run.outcome);
    const alive = this.server.life === 'running';
    const entries: (Entry & { when?: boolean })[] = [
      { label: '$(debug-restart) Restart server', run: () => this.server.restart(), when: !alive },
      { label: '$(debug-stop) Cancel what runs', run: () => this.stop(), when: alive && running },
      { label: '$(sparkle) Ask for a change…', run: () => this.order({ action: 'task' }), when: alive },
      {
        label: '$(comment-discussion) Live view',
        run: () => vscode.commands.executeCommand('ropeway.view.focus'),
      },
      { label: '$(chip) Model…', run: () => this.selectModel(), when: alive },
      {
        label: '$(discard) Take back the last run',
        run: () => this.takeBack(),
        when: alive && this.view.journal.runs.some((run) => run.outcome?.status === 'applied' && !run.takenBack),
      },
      { label: '$(graph) Report of the last run', run: () => this.report(this.lastRun()?.id), when: this.server.has(protocol.REPORT) },
      { label: '$(fold) Make the conversation smaller', run: () => this.compact(), when: alive && this.lastRun() !== undefined },
      { label: '$(dashboard) Readout', run: () => this.readout(), when: alive },
      {
        label: '$(output) Log',
        run: () => {
          this.server.log.show();
        },
      },
      { label: '$(key) API key…', run: () => this.setKey() },
      { label: '$(settings-gear) Settings', run: () => vscode.commands.executeCommand('ropeway.openSettings') },
    ];
    const picked = await vscode.window.showQuickPick(
      entries.filter((entry) => entry.when ?? true),
      { title: 'Ropeway' },
    );
    await picked?.run();
  }

  private lastRun(): Run | undefined {
    return this.view.journal.runs.at(-1);
  }

  private async compact(): Promise<void> {
    const threadId = this.lastRun()?.thread;
    const { before, after } = await this.server.execute<{ before: { tokens: number }; after: { tokens: number } }>(
      protocol.COMPACT,
      threadId ? { threadId } : {},
    );
    void vscode.window.showInformationMessage(
      `Ropeway: the conversation had ${count(before.tokens)} tokens and has ${count(after.tokens)} now.`,
    );
  }

  private async clear(): Promise<void> {
    const threadId = this.lastRun()?.thread;
    await this.server.execute(protocol.CLEAR, threadId ? { threadId } : {});
  }

  /** The server writes the page and has it shown: it comes back as a document to show. */
  async report(runId: string | undefined): Promise<void> {
    await this.server.execute(protocol.REPORT, runId ? { runId } : {});
  }

  private async readout(): Promise<void> {
    const stats = await this.server.execute<object>(protocol.STATS);
    const document = await vscode.workspace.openTextDocument({
      content: `${JSON.stringify(stats, null, 2)}\n`,
      language: 'json',
    });
    await vscode.window.showTextDocument(document, { preview: true });
  }

  /** A subcommand of the program in a terminal that stays open. */
  private async task(name: string, args: string[]): Promise<void> {
    const env: Record<string, string> = {};
    for (const [key, value] of Object.entries(await this.server.environment())) if (value !== undefined) env[key] = value;
    const execution = new vscode.ProcessExecution(this.server.program(), args, { env });
    const task = new vscode.Task({ type: 'ropeway', name }, vscode.TaskScope.Workspace, name, 'ropeway', execution, []);
    task.presentationOptions = { focus: true, echo: false, clear: true, panel: vscode.TaskPanelKind.Dedicated };
    await vscode.tasks.executeTask(task);
  }

  private async failed(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    this.server.log.warn(message);
    const picked = await vscode.window.showErrorMessage(`Ropeway: ${message}`, 'Show Log');
    if (picked) this.server.log.show();
  }
}
