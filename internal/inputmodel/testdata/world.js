// A model of what happens to the things a user types and chooses: a user, a
// client, a network that delays and cuts, a server whose state is the page,
// pushes that change it, deploys and losses. Histories are random lists of small
// steps; leaving a step out leaves a valid history, so that a failing one can be
// shrunk. The oracle keeps its own book of what the user meant; what belongs to
// it starts with g.

/** The page's fields: bind is the element with the binding, own the field itself. */
export const FIELDS = {
  title: { kind: "text", bind: "F", form: "F", wait: true },
  plan: { kind: "select", bind: "F", form: "F" },
  a: { kind: "text", bind: "D", wait: true }, // below an ancestor that is no form
  b: { kind: "text", bind: "D", wait: true },
  memo: { kind: "text", bind: "M", own: true, change: true }, // sent when its change is committed
  code: { kind: "text", bind: "C", own: true, once: true }, // the server turns it into capitals; not sent again to a page that starts anew
  hard: { kind: "text", bind: "H", own: true, force: true },
  agree: { kind: "box", bind: "B", own: true }, // the server often says no
  note: { kind: "text", form: "G" }, // sent by the submission alone, which resets it
  city: { kind: "select", form: "G" },
  q1: { kind: "text", form: "G" }, // one element whose name changes: two fields
  q2: { kind: "text", form: "G" },
  r1: { kind: "radio", bind: "R", own: true },
  r2: { kind: "radio", bind: "R", own: true },
  r3: { kind: "radio", bind: "R", own: true },
};
const KEYS = Object.keys(FIELDS);
/** What a history may be about: few fields, so that much happens to each. */
const THEMES = [["title", "plan"], ["title", "plan"], ["title", "plan"], ["a", "b"], ["b", "memo"], ["memo"], ["code", "hard"], ["hard", "title"], ["agree", "r1", "r2"], ["note", "city", "q1", "q2"], ["note", "title"], ["code", "note"]];
const WRITTEN = ["title", "a", "b", "memo", "code"];
const LETTER = { title: "t", a: "a", b: "b", memo: "m", code: "c", hard: "h", note: "n", q1: "q", q2: "w" };
export const PLANS = ["free", "pro", "team"];
export const CITIES = [["", "Bonn", "Köln"], ["", "Paris", "Lyon", "Nice"], ["", "Rome"]];
const isText = (f) => FIELDS[f].kind === "text";
const initial = () => ({
  title: "", plan: "free", a: "", b: "", memo: "", code: "", hard: "", agree: "", note: "", q1: "", q2: "", country: 0,
  step: 1, rows: ["r2", "r3"], r1: "x", r2: "x", r3: "y", names: { r1: 0, r2: 1, r3: 2 }, gen: 0,
});
const normal = (f, v) => (f === "code" || f === "hard" ? v.toUpperCase() : v);

class Server {
  state = initial(); n = 0; told = 0; errors = []; unheard = new Set(); alive = true; version = 1;
  gSeen = {}; gAt = {}; gHist = {}; gRefused = {}; gTaken = {}; gKept = {}; gSaved = []; gRan = 0;
  constructor(world) { this.w = world; this.gNote(); }
  gNote() { // the book of what each field has been on the server
    for (const f of KEYS) {
      const h = (this.gHist[f] ??= []), v = this.state[f] ?? "";
      if (h.at(-1)?.v !== v) h.push({ v, from: this.version });
    }
  }
  /** m: i, a, d as sent, and the oracle's g with what the user had meant when it was made. */
  run(m) {
    if (m.i <= this.n) return; // came twice
    this.n = m.i; this.version++;
    const s = this.state, { g } = m, edit = m.a === "edit";
    for (const [f, serial] of Object.entries(g.want)) // edits before a click come before it
      if (!edit && (this.w.gone[f] ?? 0) < serial && (this.gSeen[f] ?? 0) < serial && !this.w.intents[f].said.some((o) => o.serial >= serial && normal(f, o.v) === s[f])) this.w.fail("order", `${m.a} ran before the edit of ${f}`);
    this.gRan = m.i;
    for (const [f, serial] of Object.entries(g.serials)) if ((this.gSeen[f] ?? 0) < serial) { this.gSeen[f] = serial; this.gAt[f] = this.version; }
    const refuse = edit && g.refuse;
    for (const f in m.d) if (FIELDS[f]) this.gRefused[f] = refuse;
    // A text that was refused, and never accepted, stays the user's.
    for (const [f, serial] of edit ? Object.entries(g.serials) : []) {
      if (!refuse) { this.gTaken[f] = serial; delete this.gKept[f]; }
      else if (isText(f) && !FIELDS[f].force && FIELDS[f].bind && (this.gTaken[f] ?? 0) < serial) this.gKept[f] = serial;
    }
    if (refuse) { this.errors.push(m.i); this.unheard.add(m.i); }
    else if (edit) { for (const [f, v] of Object.entries(m.d)) if (FIELDS[f] && !(f === "agree" && g.keep)) s[f] = normal(f, v); }
    else if (m.a === "Save") { this.gSaved.push(g.submit); s.note = ""; }
    else if (m.a === "next") s.step = 3 - s.step;
    else s.note = "N" + m.i; // a click that fills a field in
    this.gNote();
  }
  push(kind, n) { // what others do to the page
    const s = this.state; this.version++;
    if (kind === 0) { // a text that the user may be in
      const mine = WRITTEN.filter((f) => this.w.theme?.includes(f)), list = mine.length ? mine : WRITTEN, f = list[n % list.length];
      s[f] = LETTER[f].toUpperCase() + n;
    }
    if (kind === 1) s.note = "N" + n;
    if (kind === 2) s.country = n % 3;
    if (kind === 3) s.rows = s.rows.length === 3 ? s.rows.toSpliced(n % 3, 1) : s.rows.toSpliced(n % 3, 0, ["r1", "r2", "r3"].find((r) => !s.rows.includes(r)));
    if (kind === 4) for (const f in s.names) s.names[f] = (s.names[f] + 1 + (n % 2)) % 3;
    if (kind === 5) s.gen++; // a block is replaced
    if (kind === 6) s.agree = s.agree ? "" : "on";
    if (kind === 7) { const r = "r" + (1 + (n % 3)); s[r] = s[r] === "x" ? "y" : "x"; }
    if (kind === 8) s.rows = s.rows.toReversed();
    if (kind === 9) s.away = !s.away; // fields leave, and come back
    this.gNote();
  }
  lose() { // the record is gone: the page will be mounted anew
    this.state = { ...initial(), gen: this.state.gen }; this.n = this.told = 0; this.errors = []; this.unheard.clear(); this.alive = false; this.version++;
    this.gSeen = {}; this.gAt = {}; this.gRefused = {}; this.gTaken = {}; this.gKept = {}; this.gRan = 0;
    this.gNote();
  }
  frame(first) {
    const re = first && !this.alive;
    if (first) this.errors = [...this.unheard]; // told until they have arrived
    const x = this.errors.shift(); // one a frame; an answer waits for the errors below it
    const i = this.errors.length || x ? (x ?? this.errors[0]) - 1 : this.n;
    return { state: structuredClone(this.state), i: Math.max(i, this.told), u: this.n, x, first, re };
  }
}

/** One history. Client is the model's or the browser's. */
export class World {
  net = { up: [], down: [] }; intents = {}; serial = 0; submits = 0; lost = new Set(); bad = null; gone = {}; spared = new Set(); fates = 0; greeting = false;
  constructor(Client) {
    this.Client = Client;
    this.server = new Server(this);
  }
  async start() {
    this.client = new this.Client(this);
    await this.client.ready?.();
    this.connect();
    this.deliver();
    return this;
  }
  fail(rule, why) { this.bad ??= { rule, why }; }
  /** The client has made a message: what the user means by now goes with it. */
  made(d, a) {
    const now = Object.entries(this.intents).filter(([f, t]) => FIELDS[f].bind && !t.closed && this.client.find(f));
    const g = {
      want: Object.fromEntries(now.map(([f, t]) => [f, t.serial])),
      serials: {}, refuse: this.fates % 3 === 1, keep: this.fates % 3 === 2, submit: a === "Save" ? this.submits : undefined,
    };
    for (const f of Object.keys(d)) {
      const t = this.intents[f];
      if (!t) continue;
      g.serials[f] = t.serial;
      if (a === "Save") t.by = this.submits;
    }
    return g;
  }
  gSame() { // what a new page happens to say counts as heard
    for (const [f, t] of Object.entries(this.intents)) if (FIELDS[f].bind && this.server.state[f] === t.v) { this.server.gSeen[f] = t.serial; this.server.gAt[f] = this.server.version; }
  }
  gReset(f, shown, opts) {
    const t = this.intents[f];
    if (t && this.since(f) === undefined && !(opts && !opts.includes(t.v)) && !t.reset && t.serial > (t.submitted ?? 0) && !t.closed) this.fail("reset", `live-reset took ${shown} from ${f}`);
    if (t) t.closed = true;
  }
  /** The n-th submission has succeeded, and its form was reset: what it said is not shown any more. */
  gCleared(n) {
    for (const el of this.client.els()) {
      const t = this.intents[el.f];
      if (FIELDS[el.f].form === "G" && t?.by === n && el.shown !== el.def) this.fail("reset", `${el.f} still shows ${el.shown}`);
    }
  }
  /** What the user meant has no place any more. */
  goes(f, t) { t.closed = true; this.gone[f] = t.serial; }
  /** The server is about to lose what it knows: what only it had is gone. */
  gForget() {
    for (const [f, t] of Object.entries(this.intents)) {
      const heard = this.server.gSeen[f] ?? 0, all = heard >= t.serial;
      const written = all && isText(f) && this.server.state[f] !== normal(f, t.v); // the server has said something else since
      if (!t.left && !FIELDS[f].once && !written) continue;
      this.gone[f] = Math.max(this.gone[f] ?? 0, heard);
      if (all) t.closed = true;
    }
    for (const f of KEYS) if (FIELDS[f].once) this.spared.add(f);
  }
  meant(el) {
    const { submitted, said = [] } = this.intents[el.f] ?? {}, serial = ++this.serial, v = el.shown;
    this.spared.delete(el.f);
    this.intents[el.f] = { v, from: el.def, serial, after: this.client.next(), submitted, said: [...said, { serial, v }] };
  }
  connect() {
    if (this.client.up() || this.greeting) return;
    this.greeting = true;
    this.client.dial();
    this.net.down.push(this.server.frame(true));
  }
  cut() { this.net.up = []; this.net.down = []; this.greeting = false; this.client.cut(); this.server.told = 0; }
  deliver() {
    const f = this.net.down.shift();
    if (!f) return;
    if (f.first) { this.greeting = false; this.server.alive = true; }
    this.server.unheard.delete(f.x);
    this.server.told = Math.max(this.server.told, 0);
    this.client.receive(f);
    // A page that has started anew without a field has no place for what was in it.
    if (f.re) for (const [name, t] of Object.entries(this.intents)) if (!this.client.find(name)) this.goes(name, t);
  }
  async step([op, x, y]) {
    const c = this.client, s = this.server;
    if (op === "about") { this.theme = THEMES[x % THEMES.length]; return; }
    if (op === "type" || op === "choose" || op === "focus") {
      const texts = op !== "choose", all = c.els().filter((e) => isText(e.f) === texts);
      const mine = all.filter((e) => this.theme?.includes(e.f)), els = mine.length ? mine : all;
      const focus = c.focus();
      let el = op === "type" && focus ? c.find(focus) : els[x % els.length];
      if (!el) return;
      if (focus !== el.f) { c.blur(); el = c.find(el.f); if (!el) return; if (texts) c.enter(el.f); }
      if (op !== "focus") {
        this.fates = y;
        let v;
        if (texts) v = el.shown + LETTER[el.f] + (y % 10);
        else if (el.opts) v = el.opts[y % el.opts.length];
        else if (el.f === "agree") v = el.shown ? "" : "on";
        else v = el.shown === "x" ? "y" : "x";
        if (!texts && v === el.shown) return;
        c.put(el.f, v);
      }
    } else if (op === "blur") c.blur();
    else if (op === "due") { this.fates = y ?? 0; c.due(); }
    else if (op === "save" || op === "enter") {
      if (op === "save") c.blur(); else c.commit(); // by the mouse, or the key
      const n = ++this.submits, fields = c.els().filter((e) => FIELDS[e.f].form === "G");
      const data = JSON.stringify(fields.map((e) => [e.f, e.shown])), fresh = data !== this.sent;
      this.sent = data;
      this.fates = 0;
      for (const e of fields) {
        const t = this.intents[e.f];
        if (t && !t.closed && this.since(e.f) === undefined && e.shown !== t.v) this.fail("submit", `${e.f} is sent as ${e.shown}, not ${t.v}`);
        if (t) t.submitted = t.serial;
      }
      if (fresh) (this.submitted ??= new Set()).add(n);
      c.submit();
    } else if (op === "next" || op === "fill") { c.blur(); this.fates = 0; c.click(op); }
    else if (op === "up") { const m = this.net.up.shift(); if (m) s.run(m); }
    else if (op === "frame") { if (c.up()) this.net.down.push(s.frame()); }
    else if (op === "down") this.deliver();
    else if (op === "round") { // a fast network: all that is under way arrives, and is answered
      for (let k = 0; k < 3; k++) for (const part of [...this.net.up.map(() => "up"), "frame", ...this.net.down.map(() => "down"), "down"]) await this.step([part]);
    }
    else if (op === "push") s.push(x, y);
    else if (op === "cut") this.cut();
    else if (op === "connect") this.connect();
    else if (op === "lose") { this.cut(); this.gForget(); s.lose(); this.gSame(); }
    else if (op === "back") { // left and come back: a new page, whose controls the browser fills
      c.blur();
      this.check();
      for (const n of c.unsaved()) this.lost.add(n);
      const old = c.els();
      this.cut(); c.close(); s.lose(); s.alive = true; this.gSame();
      this.sent = undefined;
      await this.start();
      const now = this.client;
      for (const o of old) { const e = now.find(o.f); if (e && (!e.opts || e.opts.includes(o.shown))) now.refill(o.f, o.shown); }
      for (const [f, t] of Object.entries(this.intents)) { t.after = now.next(); if (!now.find(f) || !old.some((e) => e.f === f)) t.closed = true; }
      now.restored();
    }
    this.check();
  }
  /** The version of the server's state from which on what it says about f may be shown. */
  since(f) {
    const t = this.intents[f], s = this.server;
    if ((s.gSeen[f] ?? 0) >= t.serial) return s.gAt[f];
    if (!FIELDS[f].bind && s.gRan >= t.after) return s.version; // an action after the edit
    return undefined;
  }
  check() {
    this.gLast ??= {};
    for (const [f, t] of Object.entries(this.intents)) {
      const el = this.client.find(f);
      if (!FIELDS[f].bind) t.ran ??= this.since(f);
      if (!el) { if (!FIELDS[f].bind) t.away = true; else if (f === "b" || f === "memo") t.left = true; else if (this.client.up() && !this.greeting) t.closed = true; continue; }
      if (LETTER[f] && el.shown !== this.gLast[f] && (this.gLast[f] = el.shown).toLowerCase().replaceAll(/\d/g, "").replaceAll(LETTER[f], "")) this.fail("moved", `${f} shows ${el.shown}`);
      if (t.closed || el.shown === t.v || el.shown === normal(f, t.v)) continue;
      if (el.opts && !el.opts.includes(t.v)) { t.closed = true; continue; } // the choice is no longer offered
      const at = t.ran ?? this.since(f);
      const kept = this.server.gKept[f] === t.serial && !t.left;
      const legal = !kept && at !== undefined && (t.away || this.server.gHist[f].some((h, i, all) => h.v === el.shown && (all[i + 1]?.from ?? Infinity) > at) || el.opts);
      if (legal) t.closed = true;
      else this.fail("lost", `${f} shows ${JSON.stringify(el.shown)}, the user made it ${JSON.stringify(t.v)}`);
    }
  }
  /** Everything heals; then page and server must agree. */
  async rest() {
    const quiet = () => this.client.up() && ![this.net.up, this.net.down, this.server.errors].some((q) => q.length) && this.client.quiet();
    for (let k = 0; k < 60 && !this.bad && !(k > 2 && quiet()); k++) {
      const steps = ["blur", "due", ...(this.client.up() ? [] : ["connect"]), "up", "frame", "down", "down"];
      for (const op of steps) await this.step([op]);
    }
    if (this.bad) return;
    const s = this.server;
    for (const [f, t] of Object.entries(this.intents)) {
      if (FIELDS[f].bind && isText(f) && !t.closed && (s.gSeen[f] ?? 0) < t.serial && s.state[f] !== normal(f, t.v)) this.fail("unheard", `the server never heard of ${f} = ${t.v}`);
    }
    for (const el of this.client.els()) {
      const f = el.f, t = this.intents[f], { bind } = FIELDS[f];
      if (el.opts && t && !el.opts.includes(t.v) && el.shown !== el.opts[0] && el.shown !== s.state[f]) this.fail("moved", `${f} shows ${el.shown}, which nobody chose`);
      if (!bind) continue;
      if (t && !t.closed && (s.gSeen[f] ?? 0) < t.serial && s.state[f] !== normal(f, t.v)) this.fail("unheard", `the server never heard of ${f} = ${t.v}`);
      // A text may differ when it was refused, or when the state is again what it was before the edit: no patch can tell.
      if (el.shown !== s.state[f] && !this.spared.has(f) && !(isText(f) && !FIELDS[f].force && (s.gRefused[f] || (t?.from === s.state[f] && el.shown === t.v)))) this.fail("apart", `${f} shows ${el.shown}, the state is ${s.state[f]}`);
    }
    for (const n of this.submitted ?? []) if (!this.lost.has(n) && !this.server.gSaved.includes(n)) this.fail("dropped", `submission ${n} was not sent`);
  }
}

async function play(Client, steps) {
  const w = await new World(Client).start();
  try {
    for (const s of steps) { await w.step(s); if (w.bad) return w.bad; }
    await w.rest();
    return w.bad;
  } catch (e) {
    return { rule: "crash", why: e.stack };
  } finally {
    w.client.close();
  }
}

const random = (seed) => () => { // mulberry32
  let t = (seed += 0x6d2b79f5);
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const WEIGHTS = { type: 24, choose: 12, focus: 4, blur: 6, due: 7, save: 4, enter: 3, next: 3, fill: 2, up: 13, frame: 11, down: 13, round: 9, push: 12, cut: 3, connect: 6, lose: 2, back: 1 };
const OPS = Object.entries(WEIGHTS).flatMap(([op, n]) => Array(n).fill(op));
function history(seed) {
  const r = random(seed), int = (n) => Math.floor(r() * n);
  const steps = Array.from({ length: 4 + int(44) }, () => { const op = OPS[int(OPS.length)]; return [op, op === "push" ? Math.max(0, int(15) - 5) : int(99), int(99)]; });
  return int(3) ? [["about", int(99)], ...steps] : steps;
}
/** Histories that random ones meet too seldom. */
const KNOWN = [
  // A text that was refused goes with another field's message, which is accepted; then the server writes it.
  "about 0; type 0 3; due 0 1; up; frame; down; choose 0 2; up; up; up; frame; down; frame; down; frame; down; push 0 0; frame; down",
  // A field is not in a page that has started anew, and comes back.
  "type 2 9; due 0 0; round; type 2 2; due 0 0; round; lose; push 9 5; connect; down; push 9 5",
];
const parsed = (text) => text.split("; ").map((o) => o.split(" ").map((v, i) => (i ? +v : v)));
/** Leaves out runs of steps, then single ones, while the history still breaks the same rule. */
async function shrink(Client, steps, rule) {
  for (let size = steps.length >> 1; size; size >>= 1)
    for (let at = 0; at + size <= steps.length; ) {
      const less = steps.toSpliced(at, size);
      if ((await play(Client, less))?.rule === rule) steps = less; else at += size;
    }
  return steps;
}

/** Runs histories; the result tells of the first violation of each rule, shrunk. */
export async function run(Client, seed, count, first) {
  const found = {};
  const histories = [...KNOWN.map(parsed), ...Array.from({ length: count }, (_, k) => history(seed + k * 7919))];
  for (const steps of histories) {
    const bad = await play(Client, steps);
    if (!bad) continue;
    (found[bad.rule] ??= { n: 0, steps }).n++;
    if (first) return [bad.rule];
  }
  const out = [];
  for (const [rule, { n, steps }] of Object.entries(found)) {
    const small = await shrink(Client, steps, rule);
    out.push(`${rule} (${n} times): ${(await play(Client, small))?.why}; ${small.map((s) => s.join(" ")).join("; ")}`);
  }
  return out;
}

/** Plays a history that run has printed, and tells what each step leaves behind. */
export async function trace(Client, text) {
  const w = await new World(Client).start(), lines = [];
  for (const s of parsed(text)) {
    await w.step(s);
    lines.push(`${s.join(" ")}: ${w.client.els().filter((e) => e.shown !== e.def || w.intents[e.f]).map((e) => `${e.f}=${e.shown}(${e.def})`).join(" ")} up ${w.net.up.map((m) => m.i + m.a + JSON.stringify(m.d)).join()} down ${w.net.down.map((f) => `i${f.i}u${f.u}x${f.x}`).join()} ${w.bad?.why ?? ""}`);
  }
  if (!w.bad) await w.rest();
  return [...lines, JSON.stringify(w.bad)].join("\n");
}
