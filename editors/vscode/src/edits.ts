/**
 * Edits on their way into the editor and after: applied only to the versions they were made for, marked in the gutter,
 * shown as a diff where they wait for a yes, and taken back.
 */

import * as vscode from 'vscode';
import type { ApplyWorkspaceEditParams, ApplyWorkspaceEditResult, LanguageClient } from 'vscode-languageclient/node';
import type { Run } from './journal';
import { Misfit, follow, landed, patched, type Lines } from './lines';

/** Documents of ours: the proposed text of a file, by run. */
export const PROPOSED = 'ropeway-proposed';
const MAX_PROPOSED = 200;

interface WireEdit {
  range: { start: { line: number }; end: { line: number; character: number } };
  newText: string;
}

export class Edits implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private readonly marks = new Map<string, Lines[]>();
  private readonly proposed = new Map<string, string>();
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
      overviewRulerColor: new vscode.ThemeColor('editorGutter.modifiedBackground'),
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
    const left = (await exists(at)) ? at : vscode.Uri.from({ scheme: PROPOSED, path: at.path, query: 'empty' });
    await vscode.commands.executeCommand('vscode.diff', left, right, `${name}: ${run.title}`, { preview: true });
  }

  /** All files of a proposal in one editor, where this VS Code has it. */
  async showAll(run: Run): Promise<void> {
    const resources: [vscode.Uri, vscode.Uri, vscode.Uri][] = [];
    for (const { uri, diff } of run.staged) {
      const at = vscode.Uri.parse(uri);
      const right = await this.propose(run, uri, diff);
      if (right) resources.push([at, at, right]);
    }
    const only = run.staged[0];
    if (run.staged.length === 1 && only) return this.showDiff(run, only.uri);
    await vscode.commands.executeCommand('vscode.changes', `${run.title}: proposed`, resources);
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.proposed.get(uri.toString()) ?? '';
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async propose(run: Run, uri: string, diff: string): Promise<vscode.Uri | undefined> {
    const at = vscode.Uri.parse(uri);
    const text = (await exists(at)) ? (await vscode.workspace.openTextDocument(at)).getText() : '';
    const right = vscode.Uri.from({ scheme: PROPOSED, path: at.path, query: run.id });
    try {
      this.proposed.set(right.toString(), patched(text, diff));
    } catch (error) {
      if (error instanceof Misfit) return undefined;
      throw error;
    }
    while (this.proposed.size > MAX_PROPOSED) {
      const oldest = this.proposed.keys().next();
      if (!oldest.done) this.proposed.delete(oldest.value);
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
    let ranges = this.marks.get(uri);
    if (!ranges || this.applying) return;
    // Changes of one event are all in terms of the text before it; from the bottom up none moves another.
    const changes = [...event.contentChanges].sort((a, b) => b.range.start.line - a.range.start.line);
    for (const { range, text } of changes) {
      const breaks = text.split('\n').length - 1;
      ranges = follow(ranges, { first: range.start.line, last: range.end.line, breaks });
    }
    this.marks.set(uri, ranges);
    const undone = event.reason === vscode.TextDocumentChangeReason.Undo;
    if (undone) this.marks.delete(uri);
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

async function exists(uri: vscode.Uri): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(uri);
    return true;
  } catch {
    return false;
  }
}
