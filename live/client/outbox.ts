// Outbox: numbered messages that stay until the server has answered them, so
// that a lost connection loses no click and repeats none; and acknowledgements
// that ride along with them.

import type { Data, LiveError } from "./protocol";
import { because, Queue } from "./queue";
import type { Socket } from "./socket";

const ACK_DELAY = 80;
/** Server messages are limited to 64 KiB; a bigger one would cost the connection. */
const MAX_BYTES = 60 << 10;
const MAX_QUEUE = 256;
/** Own pace, below the server's limit of 20 a second. */
const BURST = 20;
const PER_SECOND = 12;

const tooMuch = because("too_large", "Too much to send.");

export class Outbox extends Queue {
  #ready = false;
  #rendered = 0;
  #acked = 0;
  #ackTimer = 0;
  #paceTimer = 0;
  #tokens = BURST;
  #refilled = Date.now();

  #socket: () => Socket;

  constructor(socket: () => Socket, fail: (error: LiveError) => void) {
    super(fail);
    this.#socket = socket;
  }

  override full(): boolean {
    return this.unanswered.length >= MAX_QUEUE;
  }

  override problem(d: Data): ReturnType<Queue["problem"]> {
    try {
      const text = JSON.stringify(d);
      if (text[0] !== "{") throw "not an object";
      if (this.full() || new Blob([text]).size > MAX_BYTES) return tooMuch;
    } catch (e) {
      return because("invalid", `${e}`);
    }
  }

  /** The connection is ready for messages, or will be only behind a frame. */
  up(ready = true): void {
    this.#ready = ready;
    this.flush();
  }

  /** The connection is gone; tooBig says that a message was the cause. */
  down(tooBig: boolean): void {
    this.#ready = false;
    this.#rendered = this.#acked = 0;
    if (tooBig) this.finish((m) => m.flying, tooMuch);
    for (const m of this.unanswered) m.flying = false;
    this.report();
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
    this.#socket().send(message);
  }

  override flush(): void {
    clearTimeout(this.#paceTimer);
    if (!this.#ready) return;
    for (const m of this.unanswered) {
      if (m.flying) continue;
      if (!this.#take()) {
        this.#paceTimer = setTimeout(() => this.flush(), 1000 / PER_SECOND);
        return;
      }
      m.sent = m.flying = true;
      this.#transmit({ a: m.a, d: m.d, i: m.i });
      this.#socket().expect();
    }
  }

  /** Takes a token of the pace, if there is one. */
  #take(): boolean {
    const now = Date.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#refilled) / 1000) * PER_SECOND);
    this.#refilled = now;
    return this.#tokens >= 1 && this.#tokens-- > 0;
  }
}
