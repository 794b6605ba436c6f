/**
 * Runs in the notification area, each with a cancel button; the library's own display hides them in the status bar.
 * While the live view is on show there is none: it says the same, and has its own button.
 */

import * as vscode from 'vscode';
import type { ProgressToken } from 'vscode-languageclient/node';

interface Value {
  kind: 'begin' | 'report' | 'end';
  title?: string;
  message?: string;
}

interface Shown {
  title: string;
  message?: string;
  /** Tells what goes on, where there is a notification. */
  say?: () => void;
  /** Takes the notification away. */
  close?: () => void;
}

/**
 * By how much of what is left the bar moves on, in percent. How much a run has to do nobody knows, but a bar that goes
 * round and round is a new picture sixty times a second: where the screen is drawn by software, typing waits for it.
 */
const STRIDE = 10;

/** `cancelled` is called when the user presses the button. */
export class Progress {
  private readonly shown = new Map<ProgressToken, Shown>();
  private inView = false;

  constructor(private readonly cancelled: (token: ProgressToken) => void) {}

  handle(token: ProgressToken, value: Value): void {
    if (value.kind === 'begin') {
      // VS Code puts a colon between the title and what goes on.
      const title = (value.title ?? 'Ropeway').replace(/[.:?!…]+$/, '');
      const shown: Shown = { title, message: value.message };
      this.shown.set(token, shown);
      if (!this.inView) this.open(token, shown);
      return;
    }
    const shown = this.shown.get(token);
    if (!shown) return;
    if (value.kind === 'end') {
      this.shown.delete(token);
      shown.close?.();
    } else if (value.message) {
      shown.message = value.message;
      shown.say?.();
    }
  }

  /** The live view has come, or gone. */
  viewShows(inView: boolean): void {
    if (inView === this.inView) return;
    this.inView = inView;
    for (const [token, shown] of this.shown) {
      if (inView) shown.close?.();
      else this.open(token, shown);
    }
  }

  /** The server is gone and says no more. */
  forget(): void {
    for (const shown of this.shown.values()) shown.close?.();
    this.shown.clear();
  }

  private open(token: ProgressToken, shown: Shown): void {
    const options = { location: vscode.ProgressLocation.Notification, title: shown.title, cancellable: true };
    let left = 100;
    let open = true;
    const closed = new Promise<void>((resolve) => {
      shown.close = (): void => {
        open = false;
        shown.say = undefined;
        shown.close = undefined;
        resolve();
      };
    });
    void vscode.window.withProgress(options, (progress, cancel) => {
      const say = (): void => {
        const increment = (left * STRIDE) / 100;
        left -= increment;
        progress.report({ message: shown.message, increment });
      };
      if (open) shown.say = say;
      say();
      cancel.onCancellationRequested(() => {
        this.cancelled(token);
      });
      return closed;
    });
  }
}
