// The running page: joins its patcher to the socket, the user's events to the
// outbox, and tells the page's scripts and its user what happens.

import { listen } from "./events";
import { createHooks } from "./hooks";
import { flash, notice, prepare } from "./notice";
import { Outbox } from "./outbox";
import { Page } from "./page";
import { fire, VERSION, type Config, type Frame, type LiveError, type Send } from "./protocol";
import { Socket } from "./socket";

/** How long a connection may be lost before the user hears of it. */
const STALE_AFTER = 1000;
/** The same for a page just loaded, which is as fresh as can be. */
const FIRST_STALE_AFTER = 3000;
/** At most one reload for another protocol version in this time. */
const RELOAD_EVERY = 60_000;
const RELOADED = "live:reloaded";

export class App {
  /** Whether the server answers right now. */
  up = false;
  readonly hooks;
  private config: Config;
  private address: string;
  private token: string;
  private stale = false;
  private staleTimer = 0;
  private pending = new WeakMap<Element, number>();
  private outbox = new Outbox(() => this.socket);
  private page: Page;
  private socket: Socket;

  constructor(private root: HTMLElement) {
    this.config = JSON.parse(root.dataset.live!);
    this.token = this.config.token;
    this.address = new URL(this.config.url || location.href, location.href).href.replace(/#.*/, "");
    this.hooks = createHooks(root, (message) => this.report("hook", message));
    this.page = this.createPage();
    this.socket = new Socket({
      url: this.address.replace(/^http/, "ws"),
      heartbeat: this.config.heartbeat || 25_000,
      hello: () => ({ v: VERSION, t: this.token, ...this.page.hello() }),
      onFrame: (f) => (f.v === undefined || this.welcome(f)) && this.page.receive(f),
      onDown: (code) => this.down(code),
    });
    this.follow(listen(root, this.address, this.send).flush);
    prepare();
    this.watch(FIRST_STALE_AFTER);
    this.socket.wake();
  }

  /** Sends an action and shows on the elements that it is pending. */
  send: Send = (action, data, { elements = [], key } = {}) =>
    new Promise((resolve) => {
      for (const el of elements) this.mark(el, 1);
      this.outbox.push(action, data, key, (error) => {
        for (const el of elements) this.mark(el, -1);
        if (error) this.fail(error);
        resolve(error);
      });
    });

  private createPage(): Page {
    return new Page({
      root: this.root,
      address: this.address,
      config: this.config,
      patching: {
        dev: this.config.dev,
        onMismatch: (why) => this.report("mismatch", why),
        onMount: this.hooks.mount,
        onUpdate: this.hooks.update,
        onDestroy: this.hooks.destroy,
      },
      report: (code, message) => this.report(code, message),
      request: () => {
        if (this.up) this.socket.send({ q: 1 });
        return this.up;
      },
      arriving: (f) => f.i && this.outbox.answered(f.i),
      rendered: (f, whole) => this.rendered(f, whole),
      adopted: () => this.hooks.mount(this.root),
    });
  }

  /** The server's answer to the hello; false when the two do not understand each other. */
  private welcome(f: Frame): boolean {
    if (f.v !== VERSION) {
      this.report("version", `the server speaks version ${f.v}, this page ${VERSION}`);
      this.socket.drop(1013);
      this.reload();
      return false;
    }
    this.up = true;
    if (f.t) this.token = f.t;
    this.setStale(false);
    if (f.i) this.outbox.answered(f.i);
    this.outbox.up(!!f.re);
    return true;
  }

  private rendered(f: Frame, whole: boolean): void {
    if (f.s && whole) this.outbox.ack(f.s);
    if (f.x) {
      const error = { code: f.x.c, message: f.x.m, action: f.x.a, i: f.x.i };
      if (!this.outbox.failed(error)) this.fail(error);
    }
    if (f.n) this.navigate(f.n.u, f.n.r);
  }

  private down(code: number): void {
    this.up = false;
    // Another tab has taken the connection over, a duplicate of this one:
    // start a connection of our own instead of taking turns.
    if (code === 4000) this.token = "";
    this.outbox.down(code === 1009);
    this.page.reset();
    this.watch();
  }

  /** Calls the page stale unless the connection is back soon. */
  private watch(patience = STALE_AFTER): void {
    this.staleTimer ||= setTimeout(() => this.setStale(true), patience);
  }

  private setStale(now: boolean): void {
    clearTimeout(this.staleTimer);
    this.staleTimer = 0;
    if (now === this.stale) return;
    this.stale = now;
    this.root.classList.toggle("live-stale", now);
    notice(this.root, now);
    fire(this.root, now ? "live:stale" : "live:fresh");
  }

  /** Follows the browser's own life: sleep, tabs, the back/forward cache. */
  private follow(flushEdits: () => void): void {
    const wake = () => {
      if (!document.hidden) this.socket.wake();
    };
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    addEventListener("pageshow", (e) => {
      if (!e.persisted) return;
      this.watch();
      wake();
    });
    addEventListener("pagehide", () => {
      // An open socket would keep the page out of the back/forward cache.
      flushEdits();
      this.outbox.flushAck();
      this.socket.pause();
      this.up = false;
      this.outbox.down(false);
      this.page.reset();
    });
  }

  private mark(el: Element, by: number): void {
    const count = (this.pending.get(el) ?? 0) + by;
    this.pending.set(el, count);
    el.classList.toggle("live-pending", count > 0);
    if (count) el.setAttribute("aria-busy", "true");
    else el.removeAttribute("aria-busy");
  }

  private navigate(u: string, replace?: boolean): void {
    const target = new URL(u, this.address);
    if (!/^https?:$/.test(target.protocol)) return this.report("navigate", `refused to go to ${u}`);
    this.outbox.flushAck();
    if (replace) location.replace(target);
    else location.assign(target);
  }

  /** Loads the page again, but not over and over. */
  private reload(): void {
    try {
      if (Date.now() - +(sessionStorage.getItem(RELOADED) ?? 0) < RELOAD_EVERY) return;
      sessionStorage.setItem(RELOADED, String(Date.now()));
      location.reload();
    } catch {
      // Without storage nothing guards against a loop: stay stale instead.
    }
  }

  /** A fault of the machinery: for the page's scripts and the console. */
  private report(code: string, message: string): void {
    console.warn(`live: ${code}: ${message}`);
    fire(this.root, "live:error", { code, message });
  }

  /** A failed action: for the user too, unless a script takes care of it. */
  private fail(error: LiveError): void {
    if (fire(this.root, "live:error", error)) flash("error", error.message);
  }
}
