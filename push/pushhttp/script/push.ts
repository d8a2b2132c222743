// Reads a session's pushes: server-sent events by fetch, long polls where those do
// not pass. One tab of a browser has the connection and tells the others.
import type { Connection, Options } from "./dist/push.js";

// fresh tells whether a place lies behind another one.
const fresh = (id: string, than: string) => {
  const [e, n] = id.split("."), [f, m] = than.split(".");
  return e !== f || +n! > +m!;
};

// named tells an application's action from what the connection says of itself.
const named = (action: string) => /^\p{Lu}/u.test(action);

// What the tab with the connection tells the others: the place before, the place
// (none of what a topic says), and the push.
type Word = [prev: string, id: string, action: string, data: string];

export const open = (base: string, o: Options): Connection => {
  const key = `lastmile ${base} ${o.actions || ""}`;
  const tabs = key + " " + (o.topics || ""); // those that share a connection
  const share = o.share !== false && !o.token && self.BroadcastChannel && navigator.locks && new BroadcastChannel(tabs);
  let store: Record<string, string> = {};
  try { store = sessionStorage as any; } catch {} // not allowed: the place lasts as long as the page
  let at = o.after || store[key] || "", pos = at, acked = at, on = true, polling = o.poll, tries = 0, thrown = 0;
  let line: AbortController | undefined; // of the connection
  let turn: AbortController | undefined; // of a tab that has the connection, or waits for it
  let give: (() => void) | undefined;
  let next: any, dog: any, acks: any, order = Promise.resolve();

  const url = (name: string, query: Record<string, string>) =>
    `${base}/${name}?` + new URLSearchParams({ ...(o.actions && { actions: o.actions + "" }), ...query });
  const head = async (h: Record<string, string>) => (o.token ? { ...h, authorization: "Bearer " + (await o.token()) } : h);
  const mark = (id: string) => { store[key] = at = id; };
  const guard = (ms: number, then: () => void) => { clearTimeout(dog); dog = setTimeout(then, ms); };
  const drop = () => line?.abort();

  const ack = async () => {
    clearTimeout(acks);
    acks = 0;
    const upTo = at;
    if (!line || polling || upTo === acked) return; // a poll confirms by itself
    try {
      const r = await fetch(url("ack", {}), {
        method: "POST", keepalive: true, body: JSON.stringify({ upTo }), headers: await head({ "content-type": "application/json" }),
      });
      if (r.ok) acked = upTo;
    } catch {} // the next one says more
  };

  const close = (state?: "closed" | "stuck", status?: number) => {
    on = false;
    pause();
    for (const [target, name, f] of ways) target.removeEventListener(name, f);
    share && share.close();
    state && o.state?.(state, status);
  };

  // take hands a push over, when all before it have been.
  const take = async (id: string, action: string, data: string) => {
    if (!on) return;
    if (action === "reset") {
      mark((acked = id));
      return o.reset ? o.reset() : location.reload();
    }
    if (id && at && !fresh(id, at)) return;
    if (id ? action : named(action)) {
      try {
        await o.on(action, data && JSON.parse(data), id);
      } catch (e) {
        reportError(e);
        if (!id) return;
        pos = at; // it comes again
        if (++thrown > 2) close("stuck");
        else drop();
        throw e;
      }
    }
    if (!id) return;
    thrown = 0;
    mark(id);
    if (line) acks ||= setTimeout(ack, document.hidden ? 0 : 1000);
  };
  const takeAll = async (j: any) => {
    if (j.reset) await take(j.next, "reset", "");
    for (const e of j.events) await take(e.id, e.action, JSON.stringify(e.data));
    await take(j.next, "", "");
  };

  // pull fetches what a tab without the connection has missed.
  const pull = async () => {
    for (let more = true; more && turn && !line; ) {
      const r = await fetch(url("events", { wait: "0", ...(at && { after: at }) }), { cache: "no-store", headers: { accept: "application/json" } });
      if (!r.ok) throw r.status;
      const j = await r.json();
      await takeAll(j);
      more = j.events[0];
    }
  };
  const queue = (f: () => Promise<void>) =>
    (order = order.then(f).catch(() => { if (turn && !line) setTimeout(() => queue(pull), 1000 + 1000 * Math.random()); }));

  // came takes what the connection brings.
  const came = (id: string, action: string, data: string) => {
    if (id || named(action)) share && share.postMessage([action === "reset" ? "" : pos, id, action, data]);
    pos = id || pos;
    return queue(() => take(id, action, data));
  };

  const stream = async (body: ReadableStream<Uint8Array>) => {
    const reader = body.pipeThrough(new TextDecoderStream() as any).getReader();
    for (let text = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      guard(50000, drop);
      const blocks = (text += value).split("\n\n");
      text = blocks.pop()!;
      for (const block of blocks) {
        const m: Record<string, string> = { id: "", event: "", data: "" };
        for (const l of block.split("\n")) {
          const i = l.indexOf(":");
          if (i > 0) m[l.slice(0, i)] = l.slice(i + 2);
        }
        next = m["retry"];
        await came(m["id"]!, m["event"]!, m["data"]!);
      }
    }
  };

  const connect = async () => {
    const c = (line = new AbortController()), since = Date.now();
    let wait = 0;
    next = 0;
    guard(polling ? 40000 : 4000, () => { polling = true; drop(); });
    try {
      const r = await fetch(url("events", { ack: "post", ...(pos && { after: pos }), ...(o.topics && !polling && { topics: o.topics + "" }) }), {
        signal: c.signal, cache: "no-store", headers: await head({ accept: polling ? "application/json" : "text/event-stream" }),
      });
      if ([400, 401, 403, 404, 410].includes(r.status)) return close("closed", r.status);
      wait = 1000 * +r.headers.get("retry-after")!;
      const kind = r.headers.get("content-type")!;
      if (!r.ok) throw 0;
      if (/event-stream/.test(kind)) {
        o.state?.("open");
        await stream(r.body!);
      } else if (/json/.test(kind)) {
        const j = await r.json();
        o.state?.("open");
        if (j.reset) await came(j.next, "reset", "");
        for (const e of j.events) await came(e.id, e.action, JSON.stringify(e.data));
        await came(j.next, "", "");
        if (j.events[0] || Date.now() - since > 900) wait = 1;
      }
    } catch {} // cut: it comes back
    if (line !== c) return; // this tab has let go
    clearTimeout(dog);
    if (Date.now() - since > 5000) tries = 0;
    if (wait !== 1) o.state?.("lost");
    next = setTimeout(connect, wait || next || Math.random() * Math.min(5000, 200 * 2 ** tries++));
  };

  // start takes the connection, or waits behind the tab that has it.
  const start = () => {
    if (turn || !on) return;
    const t = (turn = new AbortController());
    if (!share) return void connect();
    navigator.locks.request(tabs, { signal: t.signal }, () => new Promise<void>((done) => {
      if (t.signal.aborted) return done();
      give = done;
      pos = at;
      connect();
    })).catch(() => {}); // it waits no more
    setTimeout(() => queue(pull), 300);
  };
  const pause = () => {
    ack();
    clearTimeout(next);
    clearTimeout(dog);
    turn?.abort();
    const c = line;
    turn = line = undefined;
    c?.abort();
    give?.();
  };
  const look = () => (document.hidden && o.hidden !== "keep" ? pause() : start());
  const again = () => { pause(); look(); }; // a frozen page's fetch neither goes on nor fails
  if (share) {
    share.onmessage = ({ data: [prev, id, action, data] }: MessageEvent<Word>) => {
      if (turn && !line) queue(async () => {
        if (!line && prev !== at && (!at || fresh(prev, at))) await pull();
        if (action !== "reset") await take(id, action, data);
      });
    };
  }
  const ways: [EventTarget, string, () => void][] = [
    [window, "pagehide", pause], [window, "pageshow", look], [document, "visibilitychange", look], [document, "resume", again], [window, "online", again],
  ];
  for (const [target, name, f] of ways) target.addEventListener(name, f);
  look();
  return { close: () => close(), get cursor() { return at; } };
};
