// A lane stands in for a WebSocket where those do not pass: frames come as the
// events of one response, messages go by requests. docs/protocol.md has the
// form. The client loads this module once a WebSocket has failed; what it
// exports says what the next connection goes over.

/** First pause before a WebSocket is tried beside the lane, and the longest. */
const TRIAL = 10_000;
const MAX_TRIAL = 600_000;
/** A hidden page lets go of its lane after this time where connections are few. */
const HIDDEN = 30_000;
/** A request is sent again as it was this often, with a growing pause. */
const TRIES = 4;
const PAUSE = 250;
const PATIENCE = 10_000;
/** About what one request carries, in characters. */
const BATCH = 60_000;
/** The server closes a connection whose hello it does not understand so: it is there. */
const CODE_VERSION = 4003;
const RESTART = { code: 1012, reason: "100" };

const JSON_BODY = { "Content-Type": "application/json" };

/** HTTP/1.1 has six connections for all tabs of a server. */
const scarce = () => {
  const [page] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return !/^h[23]/.test(page?.nextHopProtocol ?? "");
};

/** WebSockets pass again, as far as is known. */
let passes = false;
let trial = TRIAL;

export default function next(failed: unknown): unknown {
  return failed === WebSocket ? Lane : WebSocket;
}

class Lane {
  readyState: number = WebSocket.CONNECTING;
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: ((e: { code: number; reason: string }) => void) | null = null;

  #ws: string;
  #page: string;
  #query: string;
  #name = "";
  #number = 0;
  #out: string[] = [];
  #busy = false;
  #away = false;
  #ending = new AbortController();
  #timers: number[] = [];

  constructor(ws: string) {
    this.#ws = ws;
    const [page, query] = ws.replace(/^ws/, "http").split(/\?(.*)/);
    this.#page = page + "?_live=";
    this.#query = query ? "&" + query : ""; // a page that is mounted anew reads it
    if (passes) return again(ws) as never;
    queueMicrotask(() => {
      if (this.readyState !== WebSocket.CONNECTING) return;
      this.readyState = WebSocket.OPEN;
      this.onopen?.(); // which sends the hello
    });
  }

  send(message: string): void {
    if (!this.#number) void this.#read(message);
    else if (this.#away) message === "{}" ? setTimeout(() => this.onmessage?.({ data: "{}" })) : this.#end(RESTART);
    else {
      this.#out.push(message);
      void this.#write();
    }
  }

  close(code?: number): void {
    if (this.readyState >= WebSocket.CLOSING) return;
    if (code && this.#name) void this.#post(++this.#number, this.#out, code).catch(() => {});
    this.#stop();
  }

  #stop(): void {
    this.readyState = WebSocket.CLOSED;
    this.#timers.forEach(clearTimeout);
    this.#ending.abort();
    removeEventListener("online", this.#try);
    document.removeEventListener("visibilitychange", this.#look);
  }

  #end(e: { code: number; reason: string }): void {
    if (this.readyState === WebSocket.CLOSED) return;
    this.#stop();
    this.onclose?.(e);
  }

  /** Opens the lane with the hello, and reads it to its end. */
  async #read(hello: string): Promise<void> {
    this.#number = 1; // of the next request
    try {
      const response = await fetch(this.#page + "lane" + this.#query, {
        method: "POST", body: hello, headers: JSON_BODY, cache: "no-store", redirect: "manual", signal: this.#ending.signal,
      });
      if (!response.ok) throw response.status;
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (text + value).split("\n\n");
        text = blocks.pop()!;
        for (const block of blocks) this.#event(block);
      }
    } catch {
      // It is over, and why does not matter: the page's own address tells.
    }
    if (!this.#away) this.#end({ code: 1006, reason: "" });
  }

  #event(block: string): void {
    const [, kind, data] = /^(?:event: (\w+)\n)?data: (.*)$/.exec(block) ?? [];
    if (kind === "lane") {
      this.#name = data!;
      addEventListener("online", this.#try);
      document.addEventListener("visibilitychange", this.#look);
      this.#later(this.#try, trial * (0.5 + Math.random()));
      this.#look();
      void this.#write();
    } else if (kind === "close") this.#end(JSON.parse(data!));
    else if (data && this.readyState === WebSocket.OPEN) this.onmessage?.({ data });
  }

  /** Sends what waits, one request at a time. */
  async #write(): Promise<void> {
    if (this.#busy || !this.#name) return;
    this.#busy = true;
    while (this.#out.length && this.readyState === WebSocket.OPEN) {
      let size = 0;
      const more = this.#out.findIndex((m) => (size += m.length) > BATCH);
      const status = await this.#deliver(this.#number++, this.#out.splice(0, more < 0 ? Infinity : more || 1));
      if (status >= 300) this.#end({ code: status === 413 ? 1009 : 1006, reason: "" });
    }
    this.#busy = false;
  }

  /** Sends a request until there is an answer that counts, and returns its status. */
  async #deliver(number: number, messages: string[]): Promise<number> {
    for (let tries = 1; this.readyState === WebSocket.OPEN; tries++) {
      let status = 600;
      try {
        status = (await this.#post(number, messages)).status;
      } catch {
        // Whether it has arrived is not known: the number tells the server.
      }
      if (tries === TRIES || (status < 500 && status !== 429)) return status || 600; // 0 is a redirect
      await new Promise((done) => setTimeout(done, PAUSE * tries));
    }
    return 0;
  }

  #post(number: number, messages: string[], code?: number): Promise<Response> {
    return fetch(`${this.#page}send&l=${this.#name}`, {
      method: "POST", body: `{"n":${number},"m":[${messages}]${code ? `,"c":${code}` : ""}}`,
      headers: JSON_BODY, cache: "no-store", redirect: "manual",
      ...(code ? { keepalive: true } : { signal: AbortSignal.timeout(PATIENCE) }),
    });
  }

  #later(step: () => void, ms: number): void {
    this.#timers.push(setTimeout(step, ms));
  }

  /** Finds out by a connection of its own whether WebSockets pass. */
  #try = (): void => {
    trial = Math.min(trial * 2, MAX_TRIAL);
    if (document.hidden) return this.#later(this.#try, trial);
    const ws = new WebSocket(this.#ws);
    const over = setTimeout(() => ws.close(), PATIENCE);
    ws.onopen = () => ws.send("{}");
    ws.onclose = (e) => {
      clearTimeout(over);
      if (this.readyState !== WebSocket.OPEN) return;
      if (e.code !== CODE_VERSION) return this.#later(this.#try, trial * (0.5 + Math.random()));
      passes = true;
      this.#end(RESTART);
    };
  };

  /** Follows the page's visibility. */
  #look = (): void => {
    if (!document.hidden) {
      if (this.#away) this.#end(RESTART);
    } else if (scarce()) this.#later(() => document.hidden && this.#leave(), HIDDEN);
  };

  /** Lets go of the connection, and has the page believe in it until it is seen or sends. */
  #leave(): void {
    if (this.#away || this.#busy || this.readyState !== WebSocket.OPEN) return;
    this.#away = true;
    void this.#post(this.#number, [], 1000).catch(() => {});
    this.#ending.abort();
  }
}

/** A WebSocket; when it does not pass after all, lanes come again. */
function again(address: string): WebSocket {
  const ws = new WebSocket(address);
  let heard = false;
  ws.addEventListener("message", () => (heard = true));
  ws.addEventListener("close", () => {
    passes = heard;
    if (heard) trial = TRIAL;
  });
  return ws;
}
