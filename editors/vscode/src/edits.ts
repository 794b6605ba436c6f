/**
 * Edits on their way into the editor and after: applied only to the versions they were made for, marked in the gutter,
 * shown as a diff where they wait for a yes, and taken back.
 */

import * as vscode from 'vscode';
import type { ApplyWorkspaceEditParams, ApplyWorkspaceEditResult, LanguageClient } from 'vscode-languageclient/node';
import { waiting, type Run } from './journal';
import { Misfit, follow, landed, patched, undone, type Lines } from './lines';

/** Documents of ours: the proposed text of a file, by run. */
export const PROPOSED = 'ropeway-proposed';
const MAX_PROPOSED = 200;

interface WireEdit {
  range: { start: { line: number }; end: { line: number; character: number } };
  newText: string;
}

export class Edits implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private readonly marks = new Map<string, Lines[]>();
  /** Marks that an undo has taken along, the last one last: a redo brings them back. */
  private readonly takenAlong = new Map<string, Lines[][]>();
  private readonly proposed = new Map<string, string>();
  /** Of which file each of them is, as the server names it. */
  private readonly sources = new Map<string, string>();
  private readonly proposedChanged = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.proposedChanged.event;
  private readonly decoration: vscode.TextEditorDecorationType;
  private readonly subscriptions: { dispose(): unknown }[] = [];
  private applying = false;

  constructor(context: vscode.ExtensionContext) {
    this.decoration = vscode.window.createTextEditorDecorationType({
      gutterIconPath: context.asAbsolutePath('media/mark.svg'),
      gutterIconSize: 'contain',
      isWholeLine: true,
      overviewRulerColor: new vscode.ThemeColor('ropeway.changed'),
      overviewRulerLane: vscode.OverviewRulerLane.Left,
      rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
    });
    this.subscriptions.push(
      this.decoration,
      this.proposedChanged,
      vscode.workspace.registerTextDocumentContentProvider(PROPOSED, this),
      vscode.workspace.onDidChangeTextDocument((event) => {
        this.typed(event);
      }),
      vscode.window.onDidChangeVisibleTextEditors((editors) => {
        for (const editor of editors) this.draw(editor);
      }),
    );
  }

  /** Takes `workspace/applyEdit` over from the library: the same check of versions, and a note of the lines. */
  hook(client: LanguageClient): void {
    client.onRequest('workspace/applyEdit', async (params: ApplyWorkspaceEditParams): Promise<ApplyWorkspaceEditResult> => {
      const edit = await client.protocol2CodeConverter.asWorkspaceEdit(params.edit);
      const landing = new Map<string, Lines[]>();
      for (const change of params.edit.documentChanges ?? []) {
        if (!('textDocument' in change)) continue;
        const uri = client.protocol2CodeConverter.asUri(change.textDocument.uri).toString();
        const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri);
        const version = change.textDocument.version;
        if (open && typeof version === 'number' && open.version !== version) {
          return { applied: false, failureReason: `${uri} is at version ${open.version}, the edit is for ${version}` };
        }
        const edits = change.edits as WireEdit[];
        landing.set(
          uri,
          landed(
            edits.map(({ range, newText }) => ({
              start: range.start.line,
              end: range.end.line,
              endCharacter: range.end.character,
              text: newText,
            })),
          ),
        );
      }
      // No await between the check and this: the editor applies on the versions that were looked at.
      this.applying = true;
      try {
        const applied = await vscode.workspace.applyEdit(edit);
        if (applied) for (const [uri, lines] of landing) this.mark(uri, lines);
        return { applied };
      } finally {
        this.applying = false;
      }
    });
  }

  /** A new run began: marks are of the last one only. */
  clear(): void {
    this.marks.clear();
    this.takenAlong.clear();
    for (const editor of vscode.window.visibleTextEditors) this.draw(editor);
  }

  /** Shows what a run proposes (or had staged) for a file, beside the text as it is. */
  async showDiff(run: Run, uri: string): Promise<void> {
    const file = run.staged.find((other) => other.uri === uri);
    if (!file) return;
    const at = vscode.Uri.parse(uri);
    const name = at.path.slice(at.path.lastIndexOf('/') + 1);
    const right = await this.propose(run, uri, file.diff);
    if (!right) {
      const document = await vscode.workspace.openTextDocument({ content: file.diff, language: 'diff' });
      await vscode.window.showTextDocument(document, { preview: true });
      return;
    }
    const left = await this.present(at);
    await vscode.commands.executeCommand('vscode.diff', left, right, `${name}: ${run.title}`, { preview: true });
  }

  /** All files of a proposal that wait, in one editor. */
  async showAll(run: Run): Promise<void> {
    const files = run.staged.filter(({ uri }) => waiting(run).includes(uri));
    const resources: [vscode.Uri, vscode.Uri, vscode.Uri][] = [];
    for (const { uri, diff } of files) {
      const at = vscode.Uri.parse(uri);
      const right = await this.propose(run, uri, diff);
      // The text as it was: with the file itself on the left the editor of many diffs would ask to save what it accepted.
      const left = right?.with({ query: `${run.id}/before` });
      if (left && right) resources.push([at, left, right]);
    }
    const only = files[0];
    if (only && (files.length === 1 || resources.length === 0)) return this.showDiff(run, only.uri);
    await vscode.commands.executeCommand('vscode.changes', allTitle(run), resources);
  }

  /** The file whose proposed text is in front, and whose it is. */
  inFront(): { run: string; uri: string } | undefined {
    const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
    if (!(input instanceof vscode.TabInputTextDiff) || input.modified.scheme !== PROPOSED) return undefined;
    return { run: input.modified.query, uri: this.sources.get(input.modified.toString()) ?? '' };
  }

  /** These files of a proposal are decided: diffs that ask for it are closed. */
  async settled(run: Run, uris: readonly string[]): Promise<void> {
    const over = (tab: vscode.Tab): boolean => {
      const { input } = tab;
      if (input instanceof vscode.TabInputTextDiff && input.modified.scheme === PROPOSED) {
        const uri = this.sources.get(input.modified.toString());
        return input.modified.query === run.id && uri !== undefined && uris.includes(uri);
      }
      // What the editor of many diffs shows is not for extensions to see; it is known by its name.
      const many = !(input instanceof vscode.TabInputText) && tab.label.startsWith(allTitle(run));
      return many && waiting(run).length === 0;
    };
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs).filter(over);
    if (tabs.length > 0) await vscode.window.tabGroups.close(tabs, true);
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.proposed.get(uri.toString()) ?? '';
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  /** The text of a file as it is, to stand on the left; an empty one where there is no such file. */
  private async present(at: vscode.Uri): Promise<vscode.Uri> {
    return (await exists(at)) ? at : vscode.Uri.from({ scheme: PROPOSED, path: at.path, query: 'empty' });
  }

  private async propose(run: Run, uri: string, diff: string): Promise<vscode.Uri | undefined> {
    const at = vscode.Uri.parse(uri);
    const text = (await exists(at)) ? (await vscode.workspace.openTextDocument(at)).getText() : '';
    const right = vscode.Uri.from({ scheme: PROPOSED, path: at.path, query: run.id });
    try {
      this.proposed.set(right.toString(), patched(text, diff));
      this.proposed.set(right.with({ query: `${run.id}/before` }).toString(), text);
      this.sources.set(right.toString(), uri);
    } catch (error) {
      if (error instanceof Misfit) return undefined;
      throw error;
    }
    while (this.proposed.size > MAX_PROPOSED) {
      const oldest = this.proposed.keys().next();
      if (oldest.done) break;
      this.proposed.delete(oldest.value);
      this.sources.delete(oldest.value);
    }
    this.proposedChanged.fire(right);
    return right;
  }

  private mark(uri: string, lines: Lines[]): void {
    this.marks.set(uri, [...(this.marks.get(uri) ?? []), ...lines]);
    for (const editor of vscode.window.visibleTextEditors) this.draw(editor);
  }

  private typed(event: vscode.TextDocumentChangeEvent): void {
    const uri = event.document.uri.toString();
    const before = this.marks.get(uri);
    if (!before || this.applying || event.contentChanges.length === 0) return;
    let ranges = before;
    const dropped: Lines[] = [];
    // Changes of one event are all in terms of the text before it; from the bottom up none moves another.
    const changes = event.contentChanges
      .map(({ range, text }) => ({ first: range.start.line, last: range.end.line, breaks: text.split('\n').length - 1 }))
      .sort((a, b) => b.first - a.first);
    for (const change of changes) {
      if (event.reason === vscode.TextDocumentChangeReason.Undo) {
        const { gone, left } = undone(ranges, change);
        dropped.push(...gone);
        ranges = left;
      }
      ranges = follow(ranges, change);
    }
    const stack = this.takenAlong.get(uri) ?? [];
    if (event.reason === vscode.TextDocumentChangeReason.Undo) stack.push(dropped);
    else if (event.reason === vscode.TextDocumentChangeReason.Redo) ranges = [...ranges, ...(stack.pop() ?? [])];
    else stack.length = 0;
    this.takenAlong.set(uri, stack);
    this.marks.set(uri, ranges);
    // The editor moves what is drawn by itself; only what came or went is drawn anew.
    if (ranges.length === before.length) return;
    for (const editor of vscode.window.visibleTextEditors) if (editor.document === event.document) this.draw(editor);
  }

  private draw(editor: vscode.TextEditor): void {
    const enabled = vscode.workspace.getConfiguration('ropeway').get<boolean>('marks.enabled', true);
    const lines = enabled ? (this.marks.get(editor.document.uri.toString()) ?? []) : [];
    const hover = new vscode.MarkdownString(
      "Changed by Ropeway's last run · [Take Back This Run](command:ropeway.takeBack) · [Live View](command:ropeway.view.focus)",
    );
    hover.isTrusted = { enabledCommands: ['ropeway.takeBack', 'ropeway.view.focus'] };
    editor.setDecorations(
      this.decoration,
      lines.map(({ start, end }) => ({
        range: new vscode.Range(start, 0, Math.max(start, end - 1), 0),
        hoverMessage: hover,
      })),
    );
  }
}

function allTitle(run: Run): string {
  return `${run.title}: proposed`;
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(uri);
    return true;
  } catch {
    return false;
  }
}
