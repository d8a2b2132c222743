// One WebSocket at a time, for ever: it notices dead connections, reconnects
// with jitter and never gives up. What the messages mean is not its business.

import type { Config, Frame } from "./protocol";

/** What a socket needs of the program around it. */
export interface SocketHost {
  /** The page's own address. */
  readonly address: string;
  readonly config: Config;
  /** The first message of a connection. */
  hello(): object;
  heard(frame: Frame): void;
  /** The connection is gone, with its close code. */
  lost(code: number): void;
}

const HEARTBEAT = 25_000;

const MIN_DELAY = 100;
const MAX_DELAY = 5000;
/** Window over which clients come back after an announced restart. */
const SPREAD = 2000;
/** A connection that lived this long has earned a fast first retry. */
const STABLE = 5000;
/** Closes that a fast retry would only repeat: policy, try later, slow client, session closed, version. */
const SLOW_CODES = [1008, 1013, 4001, 4002, 4003];
const RESTART = 1012;

export class Socket {
  #ws?: WebSocket;
  #attempt = 0;
  #since = 0; // when the server's first frame came, 0 before
  #retry = 0;
  #beat = 0;
  #probing = 0;
  #dying = 0;

  #heartbeat: number; // the other deadlines follow it

  #host: SocketHost;

  constructor(host: SocketHost) {
    this.#host = host;
    this.#heartbeat = host.config.heartbeat || HEARTBEAT;
  }

  /** Sends if the connection is open. */
  send(message: object): void {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  /** Says that an answer is due: silence will soon lead to a probe. */
  expect(): void {
    this.#probing ||= setTimeout(() => this.#probe(0.4), this.#heartbeat * 0.2);
  }

  /** Connects now, or checks at once that the connection is still alive. */
  wake(): void {
    if (!this.#ws) this.#connect();
    else if (this.#since) this.#probe(0.2);
  }

  /** Closes in an orderly way and stays down until wake. */
  pause(): void {
    this.#release(1000);
  }

  /** Gives this connection up; the usual reconnect follows. */
  drop(code = 1006, reason = ""): void {
    if (this.#since && Date.now() - this.#since > STABLE) this.#attempt = 0;
    this.#release();
    this.#retry = setTimeout(() => this.#connect(), this.#delay(code, reason));
    this.#host.lost(code);
  }

  #connect(): void {
    this.#release();
    this.#since = 0;
    const ws = (this.#ws = new WebSocket(this.#host.address.replace(/^http/, "ws")));
    this.#deadline(0.4);
    ws.onopen = () => this.send(this.#host.hello());
    ws.onclose = (e) => this.drop(e.code, e.reason);
    ws.onmessage = (e) => this.#hear(e.data);
    this.#beat = setInterval(() => this.#probe(0.4), this.#heartbeat);
  }

  #hear(text: string): void {
    this.#calm();
    this.#since ||= Date.now();
    let frame: Frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.drop(1007); // not our protocol, or a broken middlebox
    }
    this.#host.heard(frame);
  }

  #probe(patience: number): void {
    this.send({});
    this.#deadline(patience);
  }

  /** Gives the connection a part of the heartbeat to say anything. */
  #deadline(patience: number): void {
    this.#dying ||= setTimeout(() => this.drop(), this.#heartbeat * patience);
  }

  #calm(): void {
    clearTimeout(this.#dying);
    clearTimeout(this.#probing);
    this.#dying = this.#probing = 0;
  }

  /** Lets go of the connection, whatever state it is in. */
  #release(code?: number): void {
    this.#calm();
    clearInterval(this.#beat);
    clearTimeout(this.#retry);
    const ws = this.#ws;
    this.#ws = undefined;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close(code);
  }

  #delay(code: number, reason: string): number {
    if (SLOW_CODES.includes(code)) this.#attempt = Math.max(this.#attempt, 4);
    let window = 2 * MIN_DELAY * 2 ** this.#attempt++;
    if (code === RESTART && this.#attempt === 1) window = +reason || SPREAD;
    return MIN_DELAY + Math.random() * (Math.min(window, MAX_DELAY) - MIN_DELAY);
  }
}
