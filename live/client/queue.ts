// The queue of messages that the server has not answered. It keeps their order
// and their numbers, and knows what became of each; sending is outbox.ts's.

import type { Data, LiveError } from "./protocol";

export interface Entry {
  i: number;
  a: string;
  d: Data;
  /** What an edit is about; clicks and submissions have none. */
  edit?: unknown;
  /** Sent on some connection: its fate is the server's to tell. */
  sent?: boolean;
  /** Sent on this connection. */
  flying?: boolean;
  /** Its fate is known: the error, or none. */
  done?: boolean;
  error?: LiveError;
  settle?(error?: LiveError): void;
}

/** Makes the error of a message. */
export const because = (code: string, message: string) => (m: Entry): LiveError => ({ code, message, action: m.a, i: m.i });

export class Queue {
  unanswered: Entry[] = [];
  /** The number of the next message. */
  next = 1;
  #done: Entry[] = [];
  #fail: (error: LiveError) => void;

  /** fail hears of each error that is not of an edit which is tried again. */
  constructor(fail: (error: LiveError) => void) {
    this.#fail = fail;
  }

  /** Numbers and queues a message. settle is called once, at once when it is not taken. */
  push(a: string, d: Data, edit?: unknown, settle?: Entry["settle"]): Entry {
    const m: Entry = { i: this.next++, a, d, edit, settle };
    const problem = this.problem(d);
    if (problem) this.#tell(this.#end(m, problem));
    else {
      this.unanswered.push(m);
      this.flush();
    }
    return m;
  }

  /** Why a message with such data cannot be sent. */
  problem(_: Data): ((m: Entry) => LiveError) | void {}

  /** Sends what can be sent. */
  flush(): void {}

  /** No more edits are taken for now. */
  full(): boolean {
    return false;
  }

  /** All messages up to i are applied. */
  answered(i: number): void {
    this.finish((m) => !!m.sent && m.i <= i);
  }

  /** A message failed and will not be applied; false when none of that number waits. */
  failed(error: LiveError): boolean {
    return this.finish((m) => m.i === error.i, () => error) > 0;
  }

  /**
   * The server has started anew. What it did with clicks and submissions is
   * unknown: repeating them is for the user to decide. Edits say what is, so
   * they are sent again, in their place.
   */
  anew(): void {
    this.finish((m) => m.sent && !m.edit, because("lost", "Connection lost: please check whether this was done."));
    for (const m of this.unanswered) m.sent = m.flying = false;
  }

  /** Runs a step whose messages go before all others; the others are numbered anew, as the result tells. */
  before(step: () => void): (old: number) => number {
    const rest = this.unanswered;
    this.unanswered = [];
    step();
    const moved = rest.map((m) => [m.i, (m.i = this.next++)]);
    this.unanswered.push(...rest);
    return (old) => (moved.find(([from]) => from >= old) ?? [0, this.next])[1];
  }

  /** Takes the messages that match out. Their ends are told by report. */
  finish(match: (m: Entry) => unknown, error?: (m: Entry) => LiveError): number {
    const out = this.unanswered.filter(match);
    this.unanswered = this.unanswered.filter((m) => !out.includes(m));
    this.#done.push(...out.map((m) => this.#end(m, error)));
    return out.length;
  }

  #end(m: Entry, error?: (m: Entry) => LiveError): Entry {
    m.done = true;
    m.error = error?.(m);
    return m;
  }

  /** Tells the ends that are known by now. */
  report(): void {
    for (const m of this.#done.splice(0)) this.#tell(m);
  }

  #tell(m: Entry): void {
    if (m.error && !isBusy(m)) this.#fail(m.error);
    m.settle?.(m.error);
  }
}

/** An edit that the server had no time for: it is tried again, untold. */
export const isBusy = (m: Entry): boolean => !!m.edit && m.error?.code === "rate_limited";
