// The running page: joins its patcher to the socket, the user's events to the
// outbox, and tells the page's scripts and its user what happens.

import { call, of } from "./dom";
import { listen } from "./events";
import { createHooks } from "./hooks";
import { createInputs } from "./input";
import { flash, keep, kept, notice, prepare } from "./notice";
import { Outbox } from "./outbox";
import { Page, type PageHost } from "./page";
import { CODE_TAKEN, CODE_VERSION, fire, VERSION, type Config, type Frame, type LiveError, type Send } from "./protocol";
import { Socket, type SocketHost } from "./socket";

/** How long a connection may be lost before the user hears of it. */
const STALE_AFTER = 1000;
/** The same for a page just loaded, which is as fresh as can be. */
const FIRST_STALE_AFTER = 3000;
/** At most one reload in this time. */
const RELOAD_EVERY = 60_000;
const RELOADED = "live:reloaded";

export class App implements PageHost, SocketHost {
  /** Whether the server answers right now. */
  up = false;
  readonly config: Config;
  readonly address: string;
  readonly hooks;
  readonly socket: Socket;
  #page: Page;
  #outbox = new Outbox(this, (error) => this.#fail(error));
  readonly inputs;
  /** The server has started anew, and no frame has been applied since. */
  #anew = false;
  /** The error of the frame under way, when no message of ours is its cause. */
  #untold?: LiveError;
  #stale = false;
  #staleTimer = 0;
  #pending = new WeakMap<Element, number>();

  constructor(readonly root: HTMLElement) {
    this.config = JSON.parse(root.dataset.live!);
    this.address = new URL(this.config.url || location.href, location.href).href.replace(/#.*/, "");
    this.hooks = createHooks(root, (message) => this.report("hook", message));
    this.inputs = createInputs(root, this.#outbox);
    this.#page = new Page(this);
    this.socket = new Socket(this);
    listen(root, this.address, this.inputs, this.send);
    this.#follow();
    prepare();
    kept().forEach(([kind, text]) => this.#flash(kind, text));
    this.#watch(FIRST_STALE_AFTER);
    this.socket.wake();
  }

  /** Sends an action and shows on the elements that it is pending. */
  send: Send = (action, data, elements = [], done) => {
    const mark = (by: number) => elements.forEach((el) => this.#mark(el, by));
    this.inputs.fields.flush();
    mark(1);
    return this.#outbox.push(action, data, undefined, (error) => {
      mark(-1);
      done?.(error);
    });
  };

  /** A fault of the machinery: for the page's scripts and the console. */
  report(code: string, message: string): void {
    console.warn("live:", code, message);
    fire(this.root, "live:error", { code, message });
  }

  hello(): object {
    return { v: VERSION, t: this.config.token, i: this.#outbox.next, ...this.#page.hello() };
  }

  heard(f: Frame): void {
    if (f.v === undefined || this.#welcome(f)) this.#page.receive(f);
  }

  lost(code: number): void {
    this.up = false;
    // Another tab has taken the connection over, a duplicate of this one:
    // start a connection of our own instead of taking turns.
    if (code === CODE_TAKEN) this.config.token = "";
    if (code === CODE_VERSION) this.reload("version", `not ${VERSION}`);
    this.#outbox.down(code === 1009);
    this.#page.reset();
    this.#watch();
  }

  request(): boolean {
    if (this.up) this.socket.send({ q: 1 });
    return this.up;
  }

  arriving(f: Frame): void {
    const { i = 0, x } = f;
    this.#outbox.answered(i);
    const error = x && { code: x.c, message: x.m, action: x.a, i: x.i };
    this.#untold = error && !this.#outbox.failed(error) ? error : undefined;
    if (this.#anew) this.#outbox.anew();
    this.inputs.before(Math.max(i, f.u ?? 0), !!f.v, this.#anew);
  }

  settle(whole: boolean): void {
    if (whole) this.inputs.after(this.#anew);
    this.#outbox.report();
    if (!this.#anew || !whole) return;
    this.#anew = false;
    this.#outbox.up(this.up);
  }

  flashed(f: Frame): void {
    // A page that the browser is about to leave is the wrong place.
    for (const [kind, text] of f.fl ?? []) f.n ? keep(kind, text) : this.#flash(kind, text);
  }

  rendered(f: Frame, whole: boolean): void {
    if (f.s && whole) this.#outbox.ack(f.s);
    if (this.#untold) this.#fail(this.#untold);
    if (f.n) this.#navigate(f.n.u, f.n.r);
  }

  /** The server's answer to the hello; false when the two do not understand each other. */
  #welcome(f: Frame): boolean {
    if (f.v !== VERSION) {
      this.socket.drop(CODE_VERSION);
      return false;
    }
    this.up = true;
    if (f.t) this.config.token = f.t;
    this.#setStale(false);
    this.#anew ||= !!f.re;
    this.#outbox.answered(f.i ?? 0);
    this.#outbox.up(!this.#anew); // else what the user has touched goes first
    return true;
  }

  /** Calls the page stale unless the connection is back soon. */
  #watch(patience = STALE_AFTER): void {
    this.#staleTimer ||= setTimeout(() => this.#setStale(true), patience);
  }

  #setStale(now: boolean): void {
    clearTimeout(this.#staleTimer);
    this.#staleTimer = 0;
    if (now === this.#stale) return;
    this.#stale = now;
    this.root.classList.toggle("live-stale", now);
    notice(this.root, now);
    fire(this.root, now ? "live:stale" : "live:fresh");
  }

  /** Follows the browser's own life: sleep, tabs, the back/forward cache. */
  #follow(): void {
    const wake = () => {
      if (!document.hidden) this.socket.wake();
    };
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    addEventListener("pageshow", (e) => e.persisted && wake());
    addEventListener("pagehide", () => {
      // An open socket would keep the page out of the back/forward cache.
      this.inputs.fields.leave();
      this.#outbox.flushAck();
      this.socket.pause();
      this.lost(1000);
    });
  }

  #mark(el: Element, by: number): void {
    const count = (this.#pending.get(el) ?? 0) + by;
    this.#pending.set(el, count);
    of(el, "classList").toggle("live-pending", count > 0);
    if (count) call(el, "setAttribute", "aria-busy", "true");
    else call(el, "removeAttribute", "aria-busy");
  }

  #navigate(u: string, replace?: boolean): void {
    const target = new URL(u, this.address);
    if (!/^https?:$/.test(target.protocol)) return this.report("navigate", u);
    this.#outbox.flushAck();
    location[replace ? "replace" : "assign"](target);
  }

  reload(code: string, why: string): void {
    this.report(code, why);
    try {
      const now = Date.now();
      if (now - +(sessionStorage.getItem(RELOADED) ?? 0) < RELOAD_EVERY) return;
      sessionStorage.setItem(RELOADED, `${now}`);
      location.reload();
    } catch {
      // Without storage nothing guards against a loop: stay stale instead.
    }
  }

  #flash(kind: string, text: string): void {
    if (fire(this.root, "live:flash", { kind, text })) flash(kind, text);
  }

  /** A failed action: for the user too, unless a script takes care of it. */
  #fail(error: LiveError): void {
    if (fire(this.root, "live:error", error)) flash("error", error.message);
  }
}
