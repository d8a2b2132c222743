// Outbox: numbered messages that stay until the server has answered them, so
// that a lost connection loses no click and repeats none; and acknowledgements
// that ride along with them.

import type { Data, LiveError } from "./protocol";
import type { Socket } from "./socket";

interface Entry {
  i: number;
  a: string;
  d: Data;
  key: unknown;
  /** Sent on some connection: its fate is the server's to tell. */
  sent: boolean;
  /** Sent on this connection. */
  flying: boolean;
  settle(error?: LiveError): void;
}

const ACK_DELAY = 80;
/** Server messages are limited to 64 KiB; a bigger one would cost the connection. */
const MAX_BYTES = 60 << 10;
const MAX_QUEUE = 256;
/** Own pace, below the server's limit of 20 a second. */
const BURST = 20;
const PER_SECOND = 12;

const because = (code: string, message: string) => (m: Entry): LiveError => ({ code, message, action: m.a, i: m.i });
const tooMuch = because("too_large", "Too much to send.");

export class Outbox {
  #queue: Entry[] = [];
  /** The number of the next message. */
  next = 1;
  #ready = false;
  #rendered = 0;
  #acked = 0;
  #ackTimer = 0;
  #paceTimer = 0;
  #tokens = BURST;
  #refilled = Date.now();

  #host: { socket: Socket };

  constructor(host: { socket: Socket }) {
    this.#host = host;
  }

  /** Queues an action and sends it as soon as possible; settle is called once. */
  push(a: string, d: Data, key: unknown, settle: Entry["settle"]): void {
    const m: Entry = { i: this.next++, a, d, key, sent: false, flying: false, settle };
    if (this.#queue.length >= MAX_QUEUE || new Blob([JSON.stringify(d)]).size > MAX_BYTES) return settle(tooMuch(m));
    // Settled, not failed: the newer message says all that the older one did.
    if (key) this.#settle((old) => old.key === key && old.a === a && !old.sent);
    this.#queue.push(m);
    this.#flush();
  }

  /** The connection is ready for messages; fresh says that the server starts anew. */
  up(fresh: boolean): void {
    this.#ready = true;
    if (fresh) {
      // What the lost connection did with these is unknown, and the page has
      // started anew: repeating them is for the user to decide.
      this.#settle((m) => m.sent, because("lost", "Connection lost: please check whether this was done."));
    }
    this.#flush();
  }

  /** The connection is gone; tooBig says that a message was the cause. */
  down(tooBig: boolean): void {
    this.#ready = false;
    this.#rendered = this.#acked = 0;
    if (tooBig) this.#settle((m) => m.flying, tooMuch);
    for (const m of this.#queue) m.flying = false;
  }

  /** All messages up to i are applied. */
  answered(i: number): void {
    this.#settle((m) => m.sent && m.i <= i);
  }

  /** A message failed and will not be applied; false when none of that number waits. */
  failed(error: LiveError): boolean {
    return this.#settle((m) => m.i === error.i, () => error) > 0;
  }

  /** Frame s is rendered. */
  ack(s: number): void {
    this.#rendered = s;
    if (document.hidden) this.flushAck(); // timers of hidden pages may take a minute
    else this.#ackTimer ||= setTimeout(() => this.flushAck(), ACK_DELAY);
  }

  /** Sends an outstanding acknowledgement at once. */
  flushAck(): void {
    this.#ackTimer = 0;
    if (this.#ready && this.#rendered > this.#acked) this.#transmit({});
  }

  #transmit(message: Record<string, unknown>): void {
    if (this.#rendered > this.#acked) message.k = this.#acked = this.#rendered;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = 0;
    this.#host.socket.send(message);
  }

  #flush(): void {
    clearTimeout(this.#paceTimer);
    if (!this.#ready) return;
    for (const m of this.#queue) {
      if (m.flying) continue;
      if (!this.#take()) {
        this.#paceTimer = setTimeout(() => this.#flush(), 1000 / PER_SECOND);
        return;
      }
      m.sent = m.flying = true;
      this.#transmit({ a: m.a, d: m.d, i: m.i });
      this.#host.socket.expect();
    }
  }

  /** Takes a token of the pace, if there is one. */
  #take(): boolean {
    const now = Date.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#refilled) / 1000) * PER_SECOND);
    this.#refilled = now;
    return this.#tokens >= 1 && this.#tokens-- > 0;
  }

  /** Takes the messages that match out of the queue and settles them. */
  #settle(match: (m: Entry) => boolean, error?: (m: Entry) => LiveError): number {
    const out = this.#queue.filter(match);
    this.#queue = this.#queue.filter((m) => !match(m));
    for (const m of out) m.settle(error?.(m));
    return out.length;
  }
}
