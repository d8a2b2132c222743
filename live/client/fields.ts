// The input policy: what the user types or chooses is the user's until a message
// that carries it has been answered. docs/protocol.md has its table. Nothing
// here knows the DOM: fields are reached through a port, so that the model in
// internal/clientbrowser runs this very code.

import { CHANGE, INPUT, type Binding, type On, type Port, type Value } from "./port";
import { isBusy, type Entry, type Queue } from "./queue";

/** What is known about a field that the user has touched. */
interface Rec {
  /** It is the user's. */
  user?: boolean;
  /** The page's state owes its value to the user. */
  touched?: boolean;
  /** What it showed when last looked at outside a frame. */
  was?: Value;
  /** A change event, or the end of a composition, is still to come. */
  unended?: boolean;
  /** The message that carries it. */
  entry?: Entry;
  /** The number of the first message made after the edit. */
  since: number;
  /** The server has written it since the edit. */
  wrote?: boolean;
  /** The server has answered an edit of it by writing it. */
  echoes?: boolean;
  /** It follows the server when it is left. */
  late?: boolean;
  /** It is to be sent to a page that has started anew. */
  again?: boolean;
  // As a frame found it.
  kept?: Value;
  fresh?: Value;
  identity?: string;
}

/** Edits that wait, or are in a message. */
interface Edit<F> {
  bound: Binding;
  about: Set<F>;
  stop?(): void;
}

interface Parked {
  rec: Rec;
  /** It has left with the frame under way. */
  just: boolean;
}

const MAX_PARKED = 64;
const AGAIN = 1000;

const same = (a?: Binding, b?: Binding) => a && b && a.on === b.on && a.about === b.about;

export type Fields<F extends object> = ReturnType<typeof createFields<F>>;

export function createFields<F extends object>(port: Port<F>, queue: Queue) {
  const { shown, fresh, display, choice, busy, forced, controls, identity, bound, dataOf, rivals, later } = port;
  const recs = new Map<F, Rec>();
  const parked = new Map<string, Parked>();
  const renamed = new Set<F>();
  let wrote = new Set<F>();
  let waits: Edit<F>[] = [];
  /** The last message that the page's state has seen. */
  let seen = 0;
  /** The frame under way holds an answer, or is the first of a connection. */
  let news = false;

  const anyBound = (f: F) => bound(f, INPUT) ?? bound(f, CHANGE);
  const waiting = (f: F) => waits.some((w) => w.about.has(f));
  const reset = (f: F) => display(f, fresh(f));

  /** The edits of a binding in a list. */
  const editsOf = (list: Edit<F>[], b: Binding) => {
    let w = list.find((o) => same(o.bound, b));
    if (!w) list.push((w = { bound: b, about: new Set() }));
    return w;
  };

  const wait = (b: Binding, f: F, delay: number) => {
    const w = editsOf(waits, b);
    w.bound = b;
    w.about.add(f);
    w.stop?.();
    w.stop = delay > 0 ? later(delay, () => fire(w)) : undefined;
    if (!delay) flush(w);
  };

  const fire = (w: Edit<F>) => {
    if (!waits.includes(w)) return;
    w.stop?.();
    waits = waits.filter((o) => o !== w);
    emit(w.bound, w.about);
  };

  /** Sends what waits: before anything that comes after it. */
  const flush = (last?: Edit<F>) => {
    for (const w of waits) if (w !== last) fire(w);
    if (last) fire(last);
  };

  const emit = (b: Binding, about: Set<F>) => {
    if (queue.full()) {
      for (const f of about) wait(b, f, AGAIN);
      return;
    }
    // Only the last message can be replaced: what is behind another one has its place.
    const last = queue.unanswered.at(-1);
    const old = last?.edit as Edit<F> | undefined;
    if (old && !last!.sent && last!.a === b.act && same(old.bound, b)) {
      old.about.forEach((f) => about.add(f));
      queue.unanswered.pop();
    }
    const m = queue.push(b.act, dataOf(b, about), { bound: b, about });
    recs.forEach((r, f) => {
      if (!r.user || !(about.has(f) || (b.whole && anyBound(f)?.about === b.about))) return;
      r.entry = m;
      if (b.on === CHANGE && about.has(f)) r.unended = false;
    });
  };

  /** Sends an edit that has not ended. */
  const commit = (r: Rec, f: F) => {
    const b = r.unended && bound(f, CHANGE);
    r.unended = false;
    if (b) emit(b, new Set([f]));
  };

  /** Sends what of a field waits. */
  const fireOf = (f: F) => {
    for (const w of waits) if (w.about.has(f)) fire(w);
    const r = recs.get(f);
    if (r) commit(r, f);
    return r;
  };

  /**
   * The user has changed a field. held: not to its end yet, as in a composition;
   * lazy: it is sent by the next flush.
   */
  const edit = (f: F, on: On, held?: boolean, lazy?: boolean) => {
    const old = recs.get(f);
    const was = shown(f);
    const b = held ? undefined : bound(f, on);
    // A change event of what an input event has told of.
    if (on === CHANGE && !b && was === (old ? old.was : fresh(f))) return;
    for (const o of rivals(f)) recs.delete(o);
    const unended = held || (on === INPUT && !!bound(f, CHANGE));
    recs.set(f, { user: true, touched: true, was, unended, since: queue.next, echoes: old?.echoes });
    if (b) wait(b, f, lazy ? -1 : b.delay);
  };

  /** Makes a field show what the server says; a text under the caret when it is left. */
  const follow = (f: F, r?: Rec, refused?: boolean) => {
    if (!refused && !controls(f)) return;
    if (busy(f) && !forced(f)) {
      if (!r) recs.set(f, (r = { since: 0 }));
      r.late = true;
    } else {
      reset(f);
      for (const o of rivals(f)) if (fresh(o)) reset(o);
    }
    if (r) r.was = shown(f);
  };

  const catchUp = (f: F, r: Rec) => {
    if (!r.late || r.user || busy(f)) return;
    r.late = false;
    follow(f, r);
  };

  /** Decides about one field when a frame is in the page. */
  const settle = (f: F, r: Rec | undefined, written: boolean) => {
    if (!r?.user) {
      // What an answer writes is still the user's doing.
      if (r && written && !news) r.touched = false;
      if (written) follow(f, r);
      else if (r && choice(f) && !display(f, r.kept)) reset(f);
      return;
    }
    // The user's, whatever the browser made of the changes around it.
    if (!display(f, r.kept)) {
      reset(f); // the choice is gone
      recs.delete(f);
      return;
    }
    const { entry } = r;
    if (r.again || r.unended || waiting(f)) return;
    if (!entry) {
      // Never sent: only an answer given after the edit may write it.
      if (!written || !news || seen < r.since || anyBound(f)) return;
      r.user = r.touched = false;
      return follow(f, r);
    }
    if (!entry.done) return;
    const b = (entry.edit as Edit<F> | undefined)?.bound;
    if (isBusy(entry)) {
      r.entry = undefined;
      return wait(b!, f, AGAIN);
    }
    const { error } = entry;
    if (error && !choice(f) && !forced(f)) return; // a text that was refused
    r.echoes ||= r.wrote;
    r.user = false;
    if (r.echoes || forced(f) || (choice(f) && (error || (b && !b.whole)))) follow(f, r, !!error);
  };

  /** Sends what the user has touched to a page that has started anew, or where its field has come back to one. */
  const recover = (anew: boolean) => {
    const groups: Edit<F>[] = [];
    recs.forEach((r, f) => {
      if (!r.again) return;
      r.again = false;
      const b = anyBound(f)!;
      if (shown(f) === fresh(f)) r.user = !!r.entry || waiting(f);
      else if (b.recover) editsOf(groups, b).about.add(f);
    });
    if (!groups[0]) return;
    const send = () => {
      for (const w of groups) {
        const was = [...recs.values()].map((r) => [r, r.entry] as const);
        emit(w.bound, w.about);
        // What is under way again says the same or more.
        for (const [r, entry] of was) if (entry && !entry.done) r.entry = entry;
      }
    };
    if (!anew) return send();
    const renumber = queue.before(send);
    for (const r of [...recs.values(), ...Array.from(parked.values(), (p) => p.rec)]) r.since = renumber(r.since);
    queue.flush();
  };

  return {
    port,
    edit,
    flush,

    /** Sends what waits, finished or not: the page is about to go. */
    leave() {
      recs.forEach(commit);
      flush();
    },

    /** The focus has left a field. */
    leftBy(f: F) {
      const r = fireOf(f);
      if (r) catchUp(f, r);
    },

    /** A message carries these fields as they are: a submission. */
    carried(list: F[], m: Entry) {
      for (const f of list) {
        const r = recs.get(f);
        if (!r?.user) continue;
        r.entry = m;
        r.unended = false;
      }
    },

    /** The user's alone: changed since the message was made. */
    newer(f: F, m: Entry) {
      const r = recs.get(f);
      return !!r?.user && r.entry !== m;
    },

    /** A form was reset: its fields are the server's; bound ones that changed are one edit, unless quiet. */
    resetted(list: F[], quiet?: boolean) {
      for (const f of list) {
        const r = recs.get(f);
        if (!recs.delete(f) || quiet || r!.was === shown(f)) continue;
        for (const on of [INPUT, CHANGE] as const) if (bound(f, on)) edit(f, on, false, true);
      }
      flush();
    },

    /** Takes up what a browser has put back, or somebody did before the script ran. */
    adopt(list: F[]) {
      for (const f of list) {
        // Of radios the chosen one tells.
        if (recs.has(f) || shown(f) === fresh(f) || (!shown(f) && rivals(f)[0])) continue;
        edit(f, bound(f, INPUT) ? INPUT : CHANGE, false, true);
        recs.get(f)!.unended = false;
      }
      flush();
    },

    /**
     * A frame has come; the messages that it answers are done. upTo is the last
     * one that its state has seen, first says that it opens a connection, anew
     * that the page has started anew.
     */
    arrive(upTo: number, first: boolean, anew: boolean) {
      news = first || upTo > seen;
      seen = anew ? upTo : Math.max(upTo, seen);
      recs.forEach((r, f) => {
        r.kept = shown(f);
        r.fresh = fresh(f);
        r.identity = identity(f);
        if (!anew || !r.touched) return;
        r.user = true;
        r.wrote = false;
        if (r.entry?.done) r.entry = undefined;
        r.again = !!anyBound(f);
      });
      port.note();
    },

    /** What the field would show has been written. */
    written(f: F) {
      const r = recs.get(f);
      if (r?.user) r.wrote = true;
      wrote.add(f);
    },

    /** A field is about to leave the page, or to become another one. */
    gone(f: F, becomes?: boolean) {
      if (becomes) renamed.add(f);
      const r = fireOf(f);
      if (!r) return;
      recs.delete(f);
      const id = r.identity;
      if (!id || !(r.user || (!r.late && r.kept !== r.fresh))) return;
      parked.delete(id);
      parked.set(id, { rec: r, just: true });
      if (parked.size > MAX_PARKED) parked.delete(parked.keys().next().value!);
    },

    /** The fields that are touched. */
    touched: () => [...recs.keys()],

    /** Whether added fields could be ones that have left. */
    expecting: () => parked.size || renamed.size,

    /** The frame is in the page; these fields came with it, by what names them. */
    settleAll(came: Map<string, F>, anew: boolean) {
      const now = wrote;
      wrote = new Set();
      port.restore(now);
      renamed.forEach(reset);
      renamed.clear();
      parked.forEach((p, id) => {
        const r = p.rec;
        const f = came.get(id);
        if (f && !recs.get(f)?.user) {
          parked.delete(id);
          recs.set(f, r);
          if (fresh(f) !== r.fresh) {
            r.wrote = true;
            now.add(f);
          }
          display(f, r.kept);
        } else if (r.entry ? r.entry.done : !p.just && seen >= r.since) parked.delete(id);
        p.just = false;
      });
      for (const f of now) if (!recs.get(f)?.user) settle(f, recs.get(f), true);
      recs.forEach((r, f) => {
        if (r.user || !now.has(f)) settle(f, r, now.has(f));
        if (recs.has(f)) catchUp(f, r);
      });
      recover(anew);
    },
  };
}
