// The running page: joins its patcher to the socket, the user's events to the
// outbox, and tells the page's scripts and its user what happens.

import { of } from "./dom";
import { listen } from "./events";
import { createHooks } from "./hooks";
import { createInputs } from "./input";
import { flash, keep, kept, notice, prepare } from "./notice";
import { createOutbox } from "./outbox";
import { createPage, type PageHost } from "./page";
import { CODE_SLOW, CODE_TAKEN, CODE_VERSION, fire, VERSION, type Config, type Frame, type LiveError, type Send } from "./protocol";
import { createSocket, type SocketHost } from "./socket";

/** How long a connection may be lost before the user hears of it. */
const STALE_AFTER = 1000;
/** The same for a page just loaded, which is as fresh as can be. */
const FIRST_STALE_AFTER = 3000;
/** At most one reload in this time, of pages that the server does not accept. */
const RELOAD_EVERY = 60_000;

const GONE = 410;

/** How many messages of an element have no answer. No form's field has such a name; disable.ts reads it. */
const PENDING = Symbol.for("live");

export function createApp(root: HTMLElement) {
  /** The server has started anew, and no frame has been applied since. */
  let anew = false;
  /** The error of the frame under way, when no message of ours is its cause. */
  let untold: LiveError | undefined;
  /** Whether the server answers right now. */
  let up = false;
  /** It has answered since the page was loaded. */
  let met = false;
  let stale = false;
  let staleTimer = 0;

  const config: Config = JSON.parse(root.dataset.live!);
  const path = location.href.replace(/[?#].*/, "");

  /** A fault of the machinery: for the page's scripts and the console. */
  const report = (code: string, message: string) => {
    console.warn("live:", code, message);
    fire(root, "live:error", { code, message });
  };

  const show = (kind: string, text: string) => {
    // In quotes a name stays: the bundle shortens kind elsewhere.
    if (fire(root, "live:flash", { "kind": kind, text })) flash(kind, text);
  };

  /** A failed action: for the user too, unless a script takes care of it. */
  const fail = (error: LiveError) => {
    if (fire(root, "live:error", error)) flash("error", error.message);
  };

  const mark = (el: Element & { [PENDING]?: number }, by: number) => {
    el[PENDING] = by + (el[PENDING] ?? 0);
    of(el, "classList").toggle("live-pending", !!el[PENDING]);
    inputs.write(el, "aria-busy", el[PENDING] ? "true" : null);
  };

  /** Sends an action and shows on the elements that it is pending. */
  const send: Send = (action, data, elements = [], done) => {
    const markAll = (by: number) => elements.forEach((el) => mark(el, by));
    inputs.fields.flush();
    markAll(1);
    return outbox.push(action, data, undefined, (error) => {
      markAll(-1);
      done?.(error);
    });
  };

  /** Loads the page again, but a page that was loaded so only after a while: the cause may be in it. */
  const reload = (code: string, why: string, free = false) => {
    report(code, why);
    const { type } = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming;
    if (free || type !== "reload" || performance.now() > RELOAD_EVERY) location.reload();
  };

  /**
   * Asks the page's own address what a browser is told that comes now, and loads
   * it when that is another page, or when the server has told to.
   */
  const ask = async (told: boolean) => {
    try {
      const r = await fetch(host.address, { redirect: "manual" });
      // 0 is a redirect; beyond 410 (gone) an answer says more of the server than of the page.
      const other = r.status <= GONE && (told || !(await r.text()).includes("data-live"));
      if (other && (told || !up)) reload("refused", `${r.status}`, met);
    } catch {
      // Nobody is there to answer.
    }
  };

  const setStale = (now: boolean) => {
    clearTimeout(staleTimer);
    staleTimer = 0;
    if (now === stale) return;
    stale = now;
    root.classList.toggle("live-stale", now);
    notice(root, now);
    fire(root, now ? "live:stale" : "live:fresh");
  };

  /** Calls the page stale unless the connection is back soon. */
  const watch = (patience = STALE_AFTER) => {
    staleTimer ||= setTimeout(() => setStale(true), patience);
  };

  /** The server's answer to the hello; false when the two do not understand each other. */
  const welcome = (f: Frame) => {
    if (f.v !== VERSION) {
      socket.drop(CODE_VERSION);
      return false;
    }
    up = met = true;
    if (f.t) config.token = f.t;
    setStale(false);
    anew ||= !!f.re;
    outbox.answered(f.i ?? 0);
    outbox.up(!anew); // else what the user has touched goes first
    return true;
  };

  const navigate = (u: string, replace?: boolean) => {
    const target = new URL(u, host.address);
    if (!/^https?:$/.test(target.protocol)) return report("navigate", u);
    outbox.flushAck();
    location[replace ? "replace" : "assign"](target);
  };

  const lost = (code: number, tries = 0) => {
    up = false;
    // Another tab has taken the connection over, a duplicate of this one:
    // start a connection of our own instead of taking turns.
    if (code === CODE_TAKEN) config.token = "";
    const told = code > CODE_SLOW; // but for the version the page is another one now
    // Refused, or there is no way: asked ever more rarely.
    if (code === CODE_VERSION) reload("version", "not " + VERSION);
    else if (told || (tries > 1 && !(tries & (tries - 1)))) void ask(told);
    outbox.down(code === 1009);
    page.reset();
    watch();
  };

  const hooks = createHooks(root, (message) => report("hook", message));
  const outbox = createOutbox(() => socket, fail);
  const inputs = createInputs(root, outbox);

  const host: PageHost & SocketHost = {
    root, path, config, hooks, inputs, report, reload, lost,

    get address() {
      return path + location.search;
    },

    hello: () => ({ v: VERSION, t: config.token, i: outbox.next, ...page.hello() }),

    heard(f) {
      if (f.v === undefined || welcome(f)) page.receive(f);
    },

    request() {
      if (up) socket.send({ q: 1 });
      return up;
    },

    arriving({ i = 0, x, u = 0, v }) {
      outbox.answered(i);
      const error = x && { code: x.c, message: x.m, action: x.a, i: x.i };
      untold = error && !outbox.failed(error) ? error : undefined;
      if (anew) outbox.anew();
      inputs.before(Math.max(i, u), !!v, anew);
    },

    settle(whole) {
      if (whole) inputs.after(anew);
      outbox.report();
      if (!anew || !whole) return;
      anew = false;
      outbox.up(up);
    },

    flashed({ fl = [], n }) {
      // A page that the browser is about to leave is the wrong place.
      for (const [kind, text] of fl) n ? keep(kind, text) : show(kind, text);
    },

    rendered({ s, n }, whole) {
      if (s && whole) outbox.ack(s);
      if (untold) fail(untold);
      if (n) navigate(n.u, n.r);
    },
  };
  const page = createPage(host);
  const socket = createSocket(host);

  listen(root, path, inputs, send, () => met);
  follow();
  prepare();
  kept(show);
  watch(FIRST_STALE_AFTER);
  socket.wake();

  /** Follows the browser's own life: sleep, tabs, the back/forward cache. */
  function follow(): void {
    const wake = () => {
      if (!document.hidden) socket.wake();
    };
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    addEventListener("pageshow", (e) => e.persisted && wake());
    addEventListener("pagehide", () => {
      // An open socket would keep the page out of the back/forward cache.
      inputs.fields.leave();
      outbox.flushAck();
      socket.pause();
      lost(1000);
    });
  }

  return { hooks, inputs, socket, send, connected: () => up };
}
