// One connection at a time, for ever: it notices dead ones, reconnects with
// jitter and never gives up. That is a WebSocket, or what lane.ts has for it where
// those do not pass. What the messages mean is not its business.

import { CODE_SLOW, type Config, type Frame } from "./protocol";

/** What a socket needs of the program around it. */
export interface SocketHost {
  /** The page's own address, and the same without its query. */
  readonly address: string;
  readonly path: string;
  readonly config: Config;
  /** The first message of a connection. */
  hello(): object;
  heard(frame: Frame): void;
  /** The connection is gone, with its close code; tries counts the ones in a row that the server has not spoken on. */
  lost(code: number, tries: number): void;
}

const HEARTBEAT = 25_000;

const MIN_DELAY = 100;
const MAX_DELAY = 5000;
/** Window over which clients come back after an announced restart. */
const SPREAD = 2000;
/** A connection that lived this long has earned a fast first retry. */
const STABLE = 5000;
/** Closes that a fast retry would only repeat: policy, try later, and ours from here on. */
const SLOW_CODES = [1008, 1013];
const RESTART = 1012;
/** How long a page's first WebSocket may take to open where there is another way, and when that is loaded. */
const FIRST_PATIENCE = 2500;
const LOAD_AFTER = 1000;

export type Socket = ReturnType<typeof createSocket>;

export function createSocket(host: SocketHost) {
  let ws: WebSocket | undefined;
  /** What the next connection goes over. */
  let Way = WebSocket;
  let attempt = 0;
  let since = 0; // when the server's first frame came, 0 before
  let retry = 0;
  let beat = 0;
  let probing = 0;
  let dying = 0;
  const { config } = host;
  const heartbeat = config.heartbeat || HEARTBEAT; // the other deadlines follow it

  /** Sends if the connection is open. */
  const send = (message: object) => {
    if (ws?.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
  };

  const calm = () => {
    clearTimeout(dying);
    clearTimeout(probing);
    dying = probing = 0;
  };

  /** Lets go of the connection, whatever state it is in. */
  const release = (code?: number) => {
    calm();
    clearInterval(beat);
    clearTimeout(retry);
    const old = ws;
    ws = undefined;
    if (!old) return;
    old.onopen = old.onmessage = old.onclose = null;
    old.close(code);
  };

  const delay = (code: number, reason: string) => {
    if (code >= CODE_SLOW || SLOW_CODES.includes(code)) attempt = Math.max(attempt, 4);
    let window = 2 * MIN_DELAY * 2 ** attempt++;
    if (code === RESTART && attempt === 1) window = +reason || SPREAD;
    return MIN_DELAY + Math.random() * (Math.min(window, MAX_DELAY) - MIN_DELAY);
  };

  /** Loads the other way, and has the next connection go it when this one has failed. */
  const turn = async (failed?: typeof Way) => {
    try {
      // A failure to load may be kept under its name.
      const { default: next } = config.lane && (await import(`${host.path}?_live=${config.lane}#${attempt & 7}`));
      if (failed) Way = next(failed);
    } catch {
      // This way is all there is for now.
    }
  };

  /** Gives this connection up; the usual reconnect follows. */
  const drop = (code = 1006, reason = "") => {
    if (!since) void turn(Way);
    if (since && Date.now() - since > STABLE) attempt = 0;
    release();
    retry = setTimeout(connect, delay(code, reason));
    host.lost(code, since ? 0 : attempt);
  };

  /** Gives the connection a part of the heartbeat to say anything. */
  const deadline = (patience: number) => {
    dying ||= setTimeout(() => drop(), heartbeat * patience);
  };

  const probe = (patience: number) => {
    send({});
    deadline(patience);
  };

  const hear = (text: string) => {
    calm();
    since ||= Date.now();
    let frame: Frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return drop(1007); // not our protocol, or a broken middlebox
    }
    host.heard(frame);
  };

  const connect = () => {
    release();
    since = 0;
    ws = new Way(host.address.replace(/^http/, "ws"));
    dying = setTimeout(() => drop(), attempt || !config.lane ? heartbeat * 0.4 : FIRST_PATIENCE);
    setTimeout(() => since || turn(), LOAD_AFTER);
    ws.onopen = () => {
      calm();
      deadline(0.4);
      send(host.hello());
    };
    ws.onclose = (e) => drop(e.code, e.reason);
    ws.onmessage = (e) => hear(e.data);
    beat = setInterval(() => probe(0.4), heartbeat);
  };

  return {
    send,
    drop,

    /** Says that an answer is due: silence will soon lead to a probe. */
    expect() {
      probing ||= setTimeout(() => probe(0.4), heartbeat * 0.2);
    },

    /** Connects now, or checks at once that the connection is still alive. */
    wake() {
      if (!ws) connect();
      else if (since) probe(0.2);
    },

    /** Closes in an orderly way and stays down until wake. */
    pause() {
      release(1000);
    },
  };
}
