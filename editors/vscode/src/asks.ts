/**
 * Questions of the server (approvals): put in the live view while that is open, as a message while it is not. No answer
 * is a no, which is the server's rule; so nothing here ever answers by itself.
 */

import * as vscode from 'vscode';
import type { LanguageClient, MessageActionItem, ShowMessageRequestParams } from 'vscode-languageclient/node';
import type { Ask } from './protocol';

interface Open extends Ask {
  answer: (choice: string | undefined) => void;
  asMessage: boolean;
}

export class Asks {
  private readonly open: Open[] = [];
  private next = 1;
  /** Told when the list has changed. */
  changed: () => void = () => undefined;
  /** Whether the view can be seen, and so can ask. */
  inView: () => boolean = () => false;

  hook(client: LanguageClient): void {
    client.onRequest('window/showMessageRequest', (params: ShowMessageRequestParams): Promise<MessageActionItem | null> => {
      const choices = (params.actions ?? []).map((action) => action.title);
      return new Promise((resolve) => {
        const ask: Open = {
          id: this.next++,
          message: params.message,
          choices,
          asMessage: false,
          answer: (choice) => {
            const at = this.open.indexOf(ask);
            if (at < 0) return;
            this.open.splice(at, 1);
            this.changed();
            resolve(choice === undefined ? null : { title: choice });
          },
        };
        this.open.push(ask);
        this.changed();
        if (!this.inView() || choices.length === 0) this.message(ask);
      });
    });
  }

  /** What the view shows. */
  list(): Ask[] {
    return this.open.map(({ id, message, choices }) => ({ id, message, choices }));
  }

  /** The user answered in the view. */
  answer(id: number, choice: string): void {
    const ask = this.open.find((other) => other.id === id);
    if (ask?.choices.includes(choice)) ask.answer(choice);
  }

  /** The view was closed: what it asked is asked by message. */
  viewHidden(): void {
    for (const ask of this.open) if (!ask.asMessage) this.message(ask);
  }

  /** The server is gone; nobody waits for an answer. */
  forget(): void {
    for (const ask of [...this.open]) ask.answer(undefined);
  }

  private message(ask: Open): void {
    ask.asMessage = true;
    void vscode.window.showWarningMessage(ask.message, ...ask.choices).then((choice) => {
      // A message that was closed while the view shows the question is no answer yet.
      if (choice !== undefined || !this.inView()) ask.answer(choice);
      else ask.asMessage = false;
    });
  }
}
