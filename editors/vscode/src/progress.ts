/** Runs in the notification area, each with a cancel button; the library's own display hides them in the status bar. */

import * as vscode from 'vscode';
import type { ProgressToken } from 'vscode-languageclient/node';

interface Value {
  kind: 'begin' | 'report' | 'end';
  title?: string;
  message?: string;
}

interface Shown {
  progress?: vscode.Progress<{ message?: string }>;
  message?: string;
  done: () => void;
}

/** `cancelled` is called when the user presses the button. */
export class Progress {
  private readonly shown = new Map<ProgressToken, Shown>();

  constructor(private readonly cancelled: (token: ProgressToken) => void) {}

  handle(token: ProgressToken, value: Value): void {
    const shown = this.shown.get(token);
    if (value.kind === 'begin') this.begin(token, value);
    else if (value.kind === 'end') shown?.done();
    else if (shown && value.message) {
      shown.message = value.message;
      shown.progress?.report({ message: value.message });
    }
  }

  /** The server is gone and says no more. */
  forget(): void {
    for (const shown of [...this.shown.values()]) shown.done();
  }

  private begin(token: ProgressToken, value: Value): void {
    // VS Code puts a colon between the title and what goes on.
    const title = (value.title ?? 'Ropeway').replace(/[.:?!…]+$/, '');
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    let done = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      done = resolve;
    });
    const shown: Shown = {
      message: value.message,
      done: () => {
        this.shown.delete(token);
        done();
      },
    };
    this.shown.set(token, shown);
    void vscode.window.withProgress(options, (progress, cancel) => {
      shown.progress = progress;
      if (shown.message) progress.report({ message: shown.message });
      cancel.onCancellationRequested(() => {
        this.cancelled(token);
      });
      return ended;
    });
  }
}
