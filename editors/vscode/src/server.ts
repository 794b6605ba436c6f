/**
 * The server as a child process: finding it, starting it with what it needs to know, and saying what happened when it
 * ends by itself, with its log one click away.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import * as vscode from 'vscode';
import type { CloseAction, LanguageClient, LanguageClientOptions, Middleware } from 'vscode-languageclient/node';
import { Restarts, SERVER_SETTINGS, Tail, compatible, section } from './settings';

export type Life = 'stopped' | 'starting' | 'running' | 'ended';

/** Where API keys of the secret storage go: the variable's name below this prefix. */
export const KEY_PREFIX = 'key:';

const PROGRAM = process.platform === 'win32' ? 'ropeway.exe' : 'ropeway';
const INSTALL_HINT = 'Install it with `cargo install --path .` in its repository, or set `ropeway.server.path`.';

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private child: ChildProcess | undefined;
  private readonly restarts = new Restarts();
  private tail = new Tail();
  /** The child's end is our own doing. */
  private stopping = false;
  private readonly changed = new vscode.EventEmitter<Life>();
  private readonly lost = new vscode.EventEmitter<string>();
  /** Told when the server's life changes. */
  readonly onChange = this.changed.event;
  /** Told when it ended by itself, with the reason. */
  readonly onLost = this.lost.event;
  life: Life = 'stopped';
  version: string | undefined;
  /** Called with each new client before it starts, to hang up handlers. */
  prepare: (client: LanguageClient) => void = () => undefined;
  middleware: Middleware = {};

  constructor(
    private readonly context: vscode.ExtensionContext,
    readonly log: vscode.LogOutputChannel,
  ) {}

  /** The program: the configured one, the one in the extension, or what `PATH` (or cargo's folder) has. */
  program(): string {
    const configured = vscode.workspace.getConfiguration('ropeway').get<string>('server.path', '');
    if (configured) return configured.replace(/^~(?=[/\\])/, homedir());
    const bundled = this.context.asAbsolutePath(join('server', PROGRAM));
    const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
    const candidates = [bundled, ...[...folders, join(homedir(), '.cargo', 'bin')].map((at) => join(at, PROGRAM))];
    return candidates.find((candidate) => existsSync(candidate)) ?? PROGRAM;
  }

  /** What a child of ours finds in its environment: the keys that the user gave us among them. */
  async environment(): Promise<NodeJS.ProcessEnv> {
    const configured = vscode.workspace.getConfiguration('ropeway').get<Record<string, string>>('server.environment', {});
    const env: NodeJS.ProcessEnv = { ...process.env, ...configured };
    for (const name of this.context.globalState.get<string[]>('keys', [])) {
      env[name] ??= await this.context.secrets.get(KEY_PREFIX + name);
    }
    return env;
  }

  async start(): Promise<void> {
    if (this.client) return;
    this.turn('starting');
    this.stopping = false;
    // The library takes longer to load than all of ours: after the activation, so that nothing waits for it.
    await new Promise(setImmediate);
    const library = await import('vscode-languageclient/node');
    // Asked to stop meanwhile; the library cannot have been told.
    if (this.wasStopped()) return;
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: 'file' }],
      outputChannel: this.log,
      initializationOptions: () => ({
        status: true,
        events: true,
        trusted: vscode.workspace.isTrusted,
        settings: this.settings(),
      }),
      middleware: {
        ...this.middleware,
        workspace: {
          configuration: (params) => {
            const settings = this.settings();
            // Shown with the log: the first question when a setting seems to do nothing.
            this.log.info(`The server reads the settings: ${JSON.stringify(settings)}`);
            return params.items.map((item) => (item.section === 'ropeway' ? settings : null));
          },
        },
      },
      errorHandler: {
        error: () => ({ action: library.ErrorAction.Continue, handled: true }),
        closed: () => ({ action: this.ended(library.CloseAction), handled: true }),
      },
    };
    const client = new library.LanguageClient('ropeway', 'Ropeway', () => this.spawn(), options);
    this.client = client;
    this.prepare(client);
    client.onDidChangeState(({ newState }) => {
      // A restart after an end comes here without us.
      if (newState === library.State.Running) this.ready(client);
    });
    try {
      await client.start();
    } catch (error) {
      this.client = undefined;
      const why = this.tail.last() || (error instanceof Error ? error.message : String(error));
      this.turn('ended');
      this.say(`Ropeway's server did not start: ${why}`, /ENOENT/.test(why) ? INSTALL_HINT : '');
    }
  }

  async stop(): Promise<void> {
    const client = this.client;
    this.stopping = true;
    this.client = undefined;
    try {
      if (client?.isRunning()) await client.stop(4000);
      else await client?.dispose().catch(() => undefined);
    } catch (error) {
      this.log.warn(`The server did not stop in order: ${String(error)}`);
      this.child?.kill();
    }
    this.turn('stopped');
  }

  /** By the user's wish. */
  async restart(): Promise<void> {
    this.restarts.forget();
    await this.stop();
    await this.start();
  }

  /** Whether the server announces a command. */
  has(command: string): boolean {
    return this.client?.initializeResult?.capabilities.executeCommandProvider?.commands.includes(command) ?? false;
  }

  /** Runs a command of the server; rejects with a message for people. */
  async execute<T>(command: string, argument: object = {}): Promise<T> {
    const client = this.client;
    if (!client?.isRunning()) throw new Error('the server is not running; `Ropeway: Restart Server` starts it');
    if (!this.has(command)) throw new Error(`this server has no command \`${command}\`; a newer one may`);
    return client.sendRequest<T>('workspace/executeCommand', { command, arguments: [argument] });
  }

  /** The user's settings have changed; the server asks for them. */
  configurationChanged(): void {
    if (this.client?.isRunning()) {
      void this.client.sendNotification('workspace/didChangeConfiguration', { settings: null });
    }
  }

  get converter(): LanguageClient['code2ProtocolConverter'] | undefined {
    return this.client?.code2ProtocolConverter;
  }

  dispose(): void {
    void this.stop();
    this.changed.dispose();
    this.lost.dispose();
  }

  /** Only the user's own values: what a repository says in its settings must not loosen anything. */
  private settings(): object {
    const configuration = vscode.workspace.getConfiguration('ropeway');
    return section((key) => {
      if (!(SERVER_SETTINGS as readonly string[]).includes(key)) return undefined;
      return configuration.inspect(key)?.globalValue;
    });
  }

  private async spawn(): Promise<ChildProcess> {
    const configuration = vscode.workspace.getConfiguration('ropeway');
    const args = configuration.get<string[]>('server.arguments', []);
    const program = this.program();
    const tail = (this.tail = new Tail());
    const cwd = vscode.workspace.workspaceFolders?.find((folder) => folder.uri.scheme === 'file')?.uri.fsPath;
    this.log.info(`Starting ${program} serve --stdio ${args.join(' ')}`);
    const child = spawn(program, ['serve', '--stdio', ...args], { cwd, env: await this.environment() });
    this.child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      tail.add(chunk.toString());
    });
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        tail.add(error.message);
        reject(error);
      });
      child.once('spawn', () => {
        resolve(child);
      });
    });
  }

  private ready(client: LanguageClient): void {
    const ours = (this.context.extension.packageJSON as { version: string }).version;
    this.version = client.initializeResult?.serverInfo?.version;
    this.turn('running');
    this.log.info(`Server ${this.version ?? 'of unknown version'}, extension ${ours}, process ${this.child?.pid ?? '?'}`);
    if (!compatible(ours, this.version)) {
      const theirs = this.version ?? 'of an unknown version';
      this.say(
        `Ropeway's server is ${theirs}, this extension is ${ours}; they may not understand each other.`,
        'Install matching versions, or set `ropeway.server.path` to the matching server.',
      );
    }
  }

  /** The connection is closed. What is said waits for the exit code, which comes a moment later. */
  private ended(close: typeof CloseAction): CloseAction {
    if (this.stopping) return close.DoNotRestart;
    const again = this.restarts.again(Date.now());
    const child = this.child;
    const tell = (): void => {
      const how = child?.signalCode ? `by signal ${child.signalCode}` : `with exit code ${child?.exitCode ?? 'unknown'}`;
      const last = this.tail.last();
      const why = `Ropeway's server ended ${how}${last ? ` (${last})` : ''}.`;
      this.log.error(why);
      this.lost.fire(why);
      this.say(why, again ? 'It was started again; nothing of the run was applied.' : 'It was not started again.');
    };
    if (child && child.exitCode === null && child.signalCode === null) child.once('exit', tell);
    else tell();
    this.turn(again ? 'starting' : 'ended');
    if (!again) this.client = undefined;
    return again ? close.Restart : close.DoNotRestart;
  }

  private wasStopped(): boolean {
    return this.stopping || this.client !== undefined;
  }

  private say(what: string, hint: string): void {
    const buttons = this.life === 'ended' ? ['Show Log', 'Restart Server', 'Settings'] : ['Show Log'];
    const show = this.life === 'ended' ? vscode.window.showErrorMessage : vscode.window.showWarningMessage;
    void show(hint ? `${what} ${hint}` : what, ...buttons).then((picked) => {
      if (picked === 'Show Log') this.log.show();
      else if (picked === 'Restart Server') void this.restart();
      else if (picked === 'Settings') {
        void vscode.commands.executeCommand('workbench.action.openSettings', '@ext:ropeway.ropeway server');
      }
    });
  }

  private turn(life: Life): void {
    this.life = life;
    this.changed.fire(life);
  }
}
