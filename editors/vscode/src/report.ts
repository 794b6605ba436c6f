/**
 * The report of a run: a page that the server has written, in an editor of its own. It works in remote windows, too,
 * where a browser could not see the file; where one can, it is a click away.
 *
 * The page allows its own script and style by their hashes and nothing else: it needs no address of ours.
 */

import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';

const KIND = 'ropeway.report';

export class Reports implements vscode.Disposable {
  private readonly panels = new Map<string, vscode.WebviewPanel>();

  /** Shows a document of the server's if it is a report; says whether it was one. */
  async show(uri: string): Promise<boolean> {
    const file = vscode.Uri.parse(uri);
    if (file.scheme !== 'file' || !/\.html$/.test(file.path) || basename(dirname(file.fsPath)) !== 'reports') return false;
    const page = await readFile(file.fsPath, 'utf8');
    const panel = this.panels.get(file.fsPath) ?? this.open(file.fsPath);
    panel.webview.html = page;
    panel.reveal();
    return true;
  }

  /** The report in front, where pages are read otherwise. */
  async openInBrowser(): Promise<void> {
    const path = [...this.panels].find(([, panel]) => panel.active)?.[0];
    if (path) await vscode.env.openExternal(vscode.Uri.file(path));
  }

  dispose(): void {
    for (const panel of this.panels.values()) panel.dispose();
  }

  private open(path: string): vscode.WebviewPanel {
    const panel = vscode.window.createWebviewPanel(KIND, 'Ropeway Report', vscode.ViewColumn.Active, {
      enableScripts: true,
      enableFindWidget: true,
      localResourceRoots: [],
    });
    this.panels.set(path, panel);
    panel.onDidDispose(() => this.panels.delete(path));
    return panel;
  }
}
