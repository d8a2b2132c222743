// The whole client in a real page, behind a socket and a clock that the world
// moves: what the user does are the browser's own events on the browser's own
// fields, and frames are those of the protocol.

import { createApp } from "./app";
import { Queue } from "./queue";
import { CITIES, FIELDS, PLANS, run, trace } from "WORLD";

// ---- time and sockets
let timers = new Map(), lastTimer = 0, now = 0, listeners = [], socket, current;
window.setTimeout = (step, ms) => { timers.set(++lastTimer, { step, ms }); return lastTimer; };
window.clearTimeout = (id) => timers.delete(id);
window.setInterval = () => 0;
Date.now = () => (now += 1000);
for (const target of [window, document]) {
  const add = target.addEventListener;
  target.addEventListener = (type, fn, options) => {
    listeners.push(() => target.removeEventListener(type, fn, options));
    add.call(target, type, fn, options);
  };
}
window.fetch = async () => ({ ok: true, json: async () => MANIFEST });
console.warn = () => {};
window.WebSocket = class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  constructor() { socket = this; }
  close() { if (socket === this) socket = undefined; }
  send(text) { current.sent(JSON.parse(text)); }
};

// The oracle's book goes with each message.
const { push, answered } = Queue.prototype;
let made; // of the message that is being made
const book = new WeakMap();
const plain = (d) => {
  const { _target, row, ...rest } = d;
  return row ? { [row]: Object.values(rest)[0] } : rest;
};
Queue.prototype.push = function (a, d, edit, settle) {
  made = current.w.made(plain(d), a);
  const m = push.call(this, a, d, edit, settle);
  book.set(m, made);
  made = undefined;
  return m;
};
// Each connection begins with an answer.
Queue.prototype.answered = function (i) { current.outbox = this; answered.call(this, i); };

// ---- the page
const M = (n) => `\uFDD0${n}\uFDD0`;
const checked = ["S", "", "", "checked"], selected = ["S", "", "", "selected"];
const G = `<form id="G" live-reset><input name="note" value="${M(0)}"><select name="city"><!--1--></select><input name="${M(2)}" value="${M(3)}"><button name="live-action" value="Save">s</button></form>`;
const radio = (n, v) => `<input type="radio" name="${M(n)}" value="${v}" live-change="edit" live-value-row="${M(n + 1)}" ${M(n + 2)}>`;
const MANIFEST = { v: 1, r: 1, b: [0, {
  h: `<form id="F" live-input="edit" live-change="edit"><input name="title" live-debounce="300" value="${M(0)}"><select name="plan">${PLANS.map((p, i) => `<option value="${p}" ${M(1 + i)}>${p}</option>`).join("")}</select></form>` +
    `<div live-input="edit" live-debounce="300"><input name="a" value="${M(4)}"><!--5--></div>` +
    `<!--6--><input name="code" live-input="edit" live-recover="no" value="${M(7)}"><input name="hard" live-force live-input="edit" value="${M(8)}">` +
    `<input type="checkbox" name="agree" live-change="edit" ${M(9)}><!--10--><ul><!--11--></ul><button id="next" live-click="next">n</button><button id="fill" live-click="fill">f</button>`,
  u: ["A", selected, selected, selected, "A", "B", "B", "A", "A", checked, "B", "L"],
}, { h: G, u: ["A", "L", "A", "A"] }, { h: G, u: ["A", "L", "A", "A"] },
{ h: `<option value="${M(0)}">${M(1)}</option>`, u: ["A", "T"] },
{ h: `<li data-key="${M(0)}">${radio(1, "x")}${radio(4, "y")}</li>`, u: ["A", "A", "A", checked, "A", "A", checked], k: 0 },
{ h: `<input name="b" value="${M(0)}">`, u: ["A"] }, { h: `<input name="memo" live-change="edit" value="${M(0)}">`, u: ["A"] }] };

const tree = (s) => [-2, s.title, ...PLANS.map((p) => (p === s.plan ? " selected" : "")), s.a, s.away ? 0 : [-7, s.b], s.away ? 0 : [-8, s.memo], s.code, s.hard, s.agree ? " checked" : "",
  [-3 - (s.gen % 2), s.note, CITIES[s.country].map((c) => [-5, c, c]), "q" + s.step, s["q" + s.step]],
  s.rows.map((r) => [-6, r, "kind" + s.names[r], r, s[r] === "x" ? " checked" : "", "kind" + s.names[r], r, s[r] === "y" ? " checked" : ""])];

/** The patch from one instance to another of the same block. */
function diff(a, b) {
  const out = [];
  for (let i = 1; i < b.length; i++) {
    if (JSON.stringify(a[i]) === JSON.stringify(b[i])) continue;
    const rows = Array.isArray(b[i]) && Array.isArray(b[i][0] ?? a[i][0]);
    if (rows) out.push(i - 1, diffRows(a[i], b[i]));
    else if (Array.isArray(b[i]) && a[i][0] === b[i][0]) out.push(i - 1, diff(a[i], b[i]));
    else out.push(i - 1, b[i]);
  }
  return out;
}
function diffRows(old, rows) {
  const key = (row, i) => (row[0] === -6 ? row[1] : i), keys = old.map(key), op = { d: [], u: [], o: [], i: [] };
  const want = rows.map(key), stay = want.filter((k) => keys.includes(k));
  const ordered = String(keys.filter((k) => want.includes(k))) === String(stay);
  old.forEach((row, at) => {
    const to = want.indexOf(keys[at]);
    if (to < 0) return op.d.push(at);
    const p = diff(row, rows[to]);
    if (p.length) op.u.push(at, p);
    if (!ordered) op.o.push(at, to);
  });
  rows.forEach((row, at) => { if (!keys.includes(want[at])) op.i.push(at, [row]); });
  return op;
}

class WholeClient {
  seq = 0; online = false;
  constructor(w) {
    this.w = w;
    current = this;
    listeners = [];
    document.body.innerHTML = `<div id="live"></div>`;
    this.root = document.getElementById("live");
    this.root.dataset.live = JSON.stringify({ view: "v", token: "t", hash: "", manifest: "m" });
    this.root.addEventListener("live:error", ({ detail }) => { if (detail.code === "lost") w.lost.add(this.books.get(detail.i)?.submit); });
    this.books = new Map();
    this.app = createApp(this.root);
  }
  async ready() { for (let k = 0; k < 30; k++) await null; }
  sent(message) {
    if (!message.a) return;
    const entry = this.outbox.unanswered.find((m) => m.i === message.i);
    if (!book.has(entry)) book.set(entry, made);
    const g = book.get(entry);
    this.books.set(message.i, g);
    this.w.net.up.push({ i: message.i, a: message.a, d: plain(message.d), g });
  }
  $(s) { return this.root.querySelector(s); }
  el(f) { return f[0] === "r" ? this.$(`[data-key=${f}] :checked`) ?? this.$(`[data-key=${f}] input`) : this.$(`[name=${f}]`); }
  els() {
    const out = [];
    for (const f of Object.keys(FIELDS)) {
      const el = this.el(f);
      if (!el) continue;
      if (f[0] === "r") out.push({ f, shown: el.checked ? el.value : "", def: this.$(`[data-key=${f}] [checked]`)?.value ?? "" });
      else if (f === "agree") out.push({ f, shown: el.checked ? "on" : "", def: el.defaultChecked ? "on" : "" });
      else if (el.options) { const opts = [...el.options].map((o) => o.value); out.push({ f, shown: el.value, opts, def: el.querySelector("[selected]")?.value ?? opts[0] }); }
      else out.push({ f, shown: el.value, def: el.defaultValue });
    }
    return out;
  }
  find(f) { return this.els().find((e) => e.f === f); }
  next() { return this.outbox.next; }
  active() { const el = document.activeElement; return this.root.contains(el) && el.matches("input") ? el : null; }
  focus() { return this.active()?.name; }
  up() { return this.online; }
  quiet() { return !this.outbox.unanswered.length && ![...timers.values()].some((t) => t.ms === 300); }
  unsaved() { return this.outbox.unanswered.filter((m) => m.a === "Save").map((m) => book.get(m).submit); }
  enter(f) { const el = this.el(f); el.focus(); this.before = el.value; }
  commit() {
    const el = this.active();
    if (el && el.value !== this.before) { this.before = el.value; el.dispatchEvent(new Event("change", { bubbles: true })); }
  }
  blur() { this.commit(); this.active()?.blur(); }
  put(f, v) {
    const w = this.w, el = f[0] === "r" ? this.$(`[data-key=${f}] [value=${v}]`) : this.el(f);
    // The book is kept before the client hears of it, as the model does.
    this.root.addEventListener("input", () => w.meant(this.find(f)), { capture: true, once: true });
    if (el.type === "checkbox" || el.type === "radio") return el.click();
    el.value = v;
    el.dispatchEvent(new InputEvent("input", { bubbles: true }));
    if (el.options) el.dispatchEvent(new Event("change", { bubbles: true }));
  }
  due() { for (const [id, { step, ms }] of [...timers]) if (ms === 300 || ms < 90) { timers.delete(id); step(); } }
  click(a) { this.$("#" + a).click(); }
  submit() { this.$("#G button").click(); }
  dial() {
    if (!socket) this.app.socket.wake();
    socket.readyState = 1;
    socket.onopen();
    this.seq = 0;
  }
  cut() { if (this.online || socket?.readyState) socket?.onclose({ code: 1006, reason: "" }); this.online = false; }
  close() {
    this.app.socket.pause();
    for (const stop of listeners) stop();
    timers.clear();
    socket = undefined;
  }
  refill(f, v) {
    const el = f[0] === "r" ? this.$(`[data-key=${f}] [value=${v}]`) : this.el(f);
    if (!el) return;
    if (el.type === "checkbox" || el.type === "radio") el.checked = !!v;
    else el.value = v;
  }
  restored() { this.app.inputs.fields.adopt(this.app.inputs.all()); }
  receive(f) {
    const next = tree(f.state), frame = { s: ++this.seq, i: f.i, u: f.u };
    if (f.first) Object.assign(frame, { v: 1, r: next, ...(f.re && { re: 1 }) });
    else { const p = diff(this.tree, next); if (p.length) frame.p = p; }
    if (f.x) frame.x = { c: "error", m: "no", i: f.x, a: "edit" };
    this.tree = next;
    if (f.first) this.online = true;
    socket.onmessage({ data: JSON.stringify(frame) });
  }
}

window.runWhole = (seed, count) => run(WholeClient, seed, count);
window.traceWhole = (text) => trace(WholeClient, text);
