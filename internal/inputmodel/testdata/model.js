// The client of the model: the real input policy and queue on fields that behave
// as a browser's, without a browser.

import { createFields } from "./fields";
import { CHANGE, INPUT } from "./port";
import { Queue } from "./queue";
import { CITIES, FIELDS, PLANS, run, trace } from "WORLD";

/** What the template makes of a state: id is the DOM node. Block G is made anew with each gen. */
function render(s) {
  const out = ["title", "a", ...(s.away ? [] : ["b", "memo"]), "code", "hard", "agree"].map((f) => ({ id: f, f, name: f, def: s[f] }));
  out.push({ id: "plan", f: "plan", name: "plan", def: s.plan, opts: PLANS });
  out.push({ id: "note" + s.gen, f: "note", name: "note", def: s.note });
  out.push({ id: "city" + s.gen, f: "city", name: "city", def: "", opts: CITIES[s.country] });
  out.push({ id: "q" + s.gen, f: "q" + s.step, name: "q" + s.step, def: s["q" + s.step] });
  for (const f of s.rows) for (const v of ["x", "y"]) out.push({ id: f + v, f, name: "kind" + s.names[f], radio: v, def: s[f] === v ? v : "" });
  return out;
}

class WireQueue extends Queue {
  constructor(client) { super(() => {}); this.client = client; }
  push(a, d, edit, settle) {
    const g = this.client.w.made(d, a);
    this.g = g;
    const m = super.push(a, d, edit, settle);
    m.g = g;
    this.wire();
    return m;
  }
  flush() { this.wire(); }
  wire() {
    if (!this.ready) return;
    for (const m of this.unanswered) {
      if (m.flying || !m.g) continue;
      m.sent = m.flying = true;
      this.client.w.net.up.push({ i: m.i, a: m.a, d: m.d, g: m.g });
    }
  }
}

class ModelClient {
  list = []; active = null; timers = new Set(); online = false; pending = null;
  constructor(w) {
    this.w = w;
    this.queue = new WireQueue(this);
    const meta = (e) => FIELDS[e.f];
    const fresh = (e) => (e.opts && !meta(e).bind ? e.opts[0] : e.def);
    this.fresh = fresh;
    this.fields = createFields({
      shown: (e) => e.shown,
      fresh,
      display: (e, v) => {
        if (e.opts && !e.opts.includes(v)) return false;
        e.shown = v; e.dirty = true;
        this.unite(e);
        return true;
      },
      choice: (e) => meta(e).kind !== "text",
      busy: (e) => e === this.active && meta(e).kind === "text",
      forced: (e) => !!meta(e).force,
      controls: () => true,
      identity: (e) => e.f + (e.radio ?? ""),
      bound: (e, on) => {
        const { bind, kind, change, wait, own } = meta(e);
        if (!bind || (bind !== "F" && on !== (change || (own && kind !== "text") ? CHANGE : INPUT))) return; // F has both
        const whole = this.list.some((o) => meta(o).form === bind);
        return { on, whole, act: "edit", about: whole ? bind : e, delay: wait ? 300 : 0, recover: !meta(e).once, owner: own ? e : bind };
      },
      dataOf: (b, about) => this.data(b.whole ? this.list.filter((e) => meta(e).form === b.about) : about),
      rivals: (e) => (e.radio ? this.list.filter((o) => o !== e && o.radio && o.name === e.name) : []),
      later: (_, step) => { this.timers.add(step); return () => this.timers.delete(step); },
      note: () => { this.ticked = this.list.filter((e) => e.radio && e.shown); },
      restore: (wrote) => { for (const e of this.ticked) if (!wrote.has(e) && !e.shown && this.list.includes(e)) { e.shown = e.radio; this.unite(e); } },
    }, this.queue);
  }
  data(list) { const d = {}; for (const e of list) if (!e.radio || e.shown) d[e.f] = e.shown; return d; }
  unite(e) { if (e.radio && e.shown) for (const o of this.list) if (o !== e && o.radio && o.name === e.name) { o.shown = ""; o.dirty = true; } }
  // ---- what the world sees and does
  els() {
    const out = [];
    for (const e of this.list) {
      if (!e.radio) out.push({ f: e.f, shown: e.shown, def: this.fresh(e), opts: e.opts });
      else if (!out.some((o) => o.f === e.f)) out.push({ f: e.f, shown: this.list.find((o) => o.f === e.f && o.radio && o.shown)?.shown ?? "", def: this.list.find((o) => o.f === e.f && o.radio && o.def)?.def ?? "" });
    }
    return out;
  }
  find(f) { return this.els().find((e) => e.f === f); }
  next() { return this.queue.next; }
  focus() { return this.active?.f; }
  up() { return this.online; }
  quiet() { return !this.queue.unanswered.length && !this.timers.size; }
  unsaved() { return this.queue.unanswered.filter((m) => m.a === "Save").map((m) => m.g.submit); }
  enter(f) { this.active = this.list.find((e) => e.f === f); this.before = this.active.shown; }
  commit() {
    const e = this.active;
    if (e && e.shown !== this.before) { this.before = e.shown; this.fields.edit(e, CHANGE); }
  }
  blur() {
    const e = this.active;
    if (!e) return;
    this.commit();
    this.active = null;
    this.fields.leftBy(e);
  }
  put(f, v) {
    const e = this.list.find((o) => o.f === f && (!o.radio || o.radio === v));
    e.shown = v; e.dirty = true;
    this.unite(e);
    this.w.meant(this.find(f));
    this.fields.edit(e, INPUT);
    if (FIELDS[f].kind !== "text") this.fields.edit(e, CHANGE);
  }
  due() { for (const step of [...this.timers]) { this.timers.delete(step); step(); } }
  click(a) { this.fields.flush(); this.queue.push(a, {}); }
  submit() {
    const of = () => this.list.filter((e) => FIELDS[e.f].form === "G");
    this.fields.flush();
    const d = this.data(of());
    if (this.pending && JSON.stringify(this.pending.d) === JSON.stringify(d)) return;
    const m = (this.pending = this.queue.push("Save", d, undefined, (error) => {
      if (this.pending === m) this.pending = null;
      if (error?.code === "lost") this.w.lost.add(m.g.submit);
      if (error) return;
      const list = of().filter((e) => !this.fields.newer(e, m));
      for (const e of list) { this.w.gReset(e.f, e.shown, e.opts); e.shown = this.fresh(e); e.dirty = false; }
      this.fields.resetted(list, true);
      this.w.gCleared(m.g.submit);
    }));
    this.fields.carried(of(), m);
  }
  dial() {}
  cut() { this.online = this.queue.ready = false; for (const m of this.queue.unanswered) m.flying = false; }
  close() {}
  refill(f, v) {
    const e = this.list.find((o) => o.f === f && (!o.radio || o.radio === v));
    if (e && e.shown !== v) { e.shown = v; e.dirty = true; this.unite(e); }
  }
  restored() { this.fields.adopt(this.list); }
  receive(fr) {
    const { queue, fields } = this;
    if (fr.first) this.online = true;
    queue.ready = this.online && !fr.re && (queue.ready || fr.first);
    queue.answered(fr.i);
    if (fr.x) queue.failed({ code: "error", message: "no", i: fr.x });
    if (fr.re) queue.anew();
    fields.arrive(fr.u, !!fr.first, !!fr.re);
    this.patch(render(fr.state));
    fields.settleAll(this.came, !!fr.re);
    queue.report();
    queue.ready = this.online;
    queue.flush();
  }
  patch(view) {
    const { fields } = this;
    const live = new Map(this.list.map((e) => [e.id, e]));
    for (const e of [...this.list]) {
      if (view.some((s) => s.id === e.id)) continue;
      fields.gone(e);
      this.list.splice(this.list.indexOf(e), 1);
      if (this.active === e) this.active = null;
    }
    const came = [], order = [];
    for (const s of view) {
      let e = live.get(s.id);
      if (!e) {
        e = { ...s };
        e.shown = this.fresh(e);
        came.push(e);
        this.list.push(e);
        this.unite(e);
      } else {
        if (e.name !== s.name) {
          if (!e.radio) { fields.gone(e, true); came.push(e); if (this.active === e) this.before = undefined; }
          e.f = s.f; e.name = s.name;
          this.unite(e);
        }
        if (String(e.opts) !== String(s.opts)) { // patched in place: the browser keeps the position
          const at = e.opts.indexOf(e.shown);
          e.opts = s.opts; e.shown = s.opts[at] ?? s.opts[0];
        }
        if (e.def !== s.def) {
          e.def = s.def;
          if (!e.dirty) { e.shown = this.fresh(e); this.unite(e); }
          fields.written(e);
        }
      }
      order.push(e);
    }
    this.list = order;
    this.came = new Map(came.map((e) => [e.f + (e.radio ?? ""), e]));
  }
}

window.runModel = (seed, count, stop) => run(ModelClient, seed, count, stop);
window.traceModel = (text) => trace(ModelClient, text);
window.runModelUntil = (seed, count) => run(ModelClient, seed, count, true, true);
