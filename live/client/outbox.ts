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

export type Outbox = ReturnType<typeof createOutbox>;

export function createOutbox(socket: () => Socket, fail: (error: LiveError) => void) {
  let ready = false;
  let rendered = 0;
  let acked = 0;
  let ackTimer = 0;
  let paceTimer = 0;
  let tokens = BURST;
  let refilled = Date.now();

  const transmit = (message: Record<string, unknown>) => {
    if (rendered > acked) message.k = acked = rendered;
    clearTimeout(ackTimer);
    ackTimer = 0;
    socket().send(message);
  };

  /** Takes a token of the pace, if there is one. */
  const take = () => {
    const now = Date.now();
    tokens = Math.min(BURST, tokens + ((now - refilled) / 1000) * PER_SECOND);
    refilled = now;
    return tokens >= 1 && tokens--;
  };

  const outbox = Object.assign(new Queue(fail), {
    full: () => outbox.unanswered.length >= MAX_QUEUE,

    problem(d: Data): ReturnType<Queue["problem"]> {
      try {
        const text = JSON.stringify(d);
        if (text[0] !== "{") throw "not an object";
        if (outbox.full() || new Blob([text]).size > MAX_BYTES) return tooMuch;
      } catch (e) {
        return because("invalid", `${e}`);
      }
    },

    /** The connection is ready for messages, or will be only behind a frame. */
    up(now = true) {
      ready = now;
      outbox.flush();
    },

    /** The connection is gone; tooBig says that a message was the cause. */
    down(tooBig: boolean) {
      ready = false;
      rendered = acked = 0;
      if (tooBig) outbox.finish((m) => m.flying, tooMuch);
      for (const m of outbox.unanswered) m.flying = false;
      outbox.report();
    },

    /** Frame s is rendered. */
    ack(s: number) {
      rendered = s;
      if (document.hidden) outbox.flushAck(); // timers of hidden pages may take a minute
      else ackTimer ||= setTimeout(outbox.flushAck, ACK_DELAY);
    },

    /** Sends an outstanding acknowledgement at once. */
    flushAck() {
      ackTimer = 0;
      if (ready && rendered > acked) transmit({});
    },

    flush() {
      clearTimeout(paceTimer);
      if (!ready) return;
      for (const m of outbox.unanswered) {
        if (m.flying) continue;
        if (!take()) {
          paceTimer = setTimeout(outbox.flush, 1000 / PER_SECOND);
          return;
        }
        m.sent = m.flying = true;
        transmit({ a: m.a, d: m.d, i: m.i });
        socket().expect();
      }
    },
  });
  return outbox;
}
