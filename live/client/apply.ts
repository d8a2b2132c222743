// Patches and snapshots on the instances of a page; docs/protocol.md has their
// grammar.

import { call, of } from "./dom";
import { check, decode, isElement, listOf, type Block } from "./blocks";
import { given } from "./given";
import { eachNode, firstNode, known, move, rowKey, written, type Instance } from "./instance";
import { source, writeUnit, type Context } from "./units";

/** An instance on the wire: -(block+1), or [-(block+1), value...]. */
export type WireInstance = number | [number, ...unknown[]];
/** [unit, op, unit, op...] */
export type WirePatch = unknown[];

interface RangeOp {
  d?: (number | [number, number])[];
  u?: (number | WirePatch | WireInstance)[];
  o?: number[];
  i?: (number | WireInstance[])[];
}

/** What all instances of a page share. */
export interface Page extends Context {
  block(id: number): Block;
}

const isInstance = (w: unknown): w is WireInstance => listOf(w as number)[0] < 0;
const blockId = (w: WireInstance) => -listOf(w as number)[0] - 1;

/** Makes an instance and puts its nodes before ref. */
export function make(page: Page, w: WireInstance, parent: Node, ref: Node | null): Instance {
  const block = page.block(blockId(w));
  const { content, parts } = block;
  const values = listOf<unknown>(w);
  check(values.length === parts.length + 1, "block");
  const first = content.firstChild;
  const single = first === content.lastChild && isElement(first); // needs no fragment around it
  // Still where nothing loads and nothing runs: it enters the page with its values.
  const root = call<Node, "cloneNode">(single ? first : content, "cloneNode", true);
  const nodes = parts.map(({ path }) => {
    let n = path.length ? root : parent; // a page can be one unit
    for (const i of single ? path.slice(1) : path) n = of(n, "childNodes")[i];
    return n;
  });
  if (!first) root.insertBefore(new Text(), null);
  const inst: Instance = {
    block, nodes, fills: [],
    first: single ? root : root.firstChild!,
    last: single ? root : root.lastChild!,
  };
  parts.forEach((part, i) => {
    const n = nodes[i];
    const v = values[i + 1];
    const { kind } = part;
    if (kind === "L") inst.fills[i] = (v as WireInstance[]).map((row) => make(page, row, n.parentNode!, n));
    else if (kind !== "B") writeUnit(part, n, v);
    else if (v) inst.fills[i] = make(page, v as WireInstance, n.parentNode!, n);
  });
  if (!single) root.childNodes.forEach(written);
  call(parent, "insertBefore", root, ref);
  given.enroll(inst);
  return inst;
}

/** Makes instances in the page, before ref. */
function insert(page: Page, rows: WireInstance[], ref: Node): Instance[] {
  const made = rows.map((w) => make(page, w, of(ref, "parentNode")!, ref));
  for (const row of made) eachNode(row, page.mounted);
  return made;
}

function drop(page: Page, inst: Instance): void {
  eachNode(inst, (n) => {
    page.destroyed(n);
    call(n, "remove");
  });
}

export function apply(page: Page, inst: Instance, p: WirePatch): void {
  pairs(p, (i, op) => set(page, inst, i, op));
}

function pairs<T>(list: unknown[] = [], fn: (i: number, v: T) => void): void {
  for (let j = 0; j < list.length; j += 2) fn(list[j] as number, list[j + 1] as T);
}

/** Makes an instance of the page what a snapshot says. */
export function sync(page: Page, inst: Instance, w: WireInstance): void {
  const values = listOf<unknown>(w);
  const { id, parts } = inst.block;
  check(blockId(w) === id && values.length === parts.length + 1, "block");
  parts.forEach(({ kind }, i) => kind !== "I" && set(page, inst, i, values[i + 1]));
}

/** Gives a unit its new value, or applies the operation on it. */
function set(page: Page, inst: Instance, i: number, op: unknown): void {
  const n = inst.nodes[i];
  known(n);
  const part = inst.block.parts[i];
  const { kind } = part;
  const fill = inst.fills[i] as Instance;
  if (kind === "L") inst.fills[i] = (Array.isArray(op) ? syncRows : range)(page, inst.fills[i] as Instance[], op as never, n);
  else if (kind !== "B") {
    if (writeUnit(part, n, op, page)) page.updated(isElement(n) ? n : n.parentNode!);
  } else if (op && !isInstance(op)) apply(page, fill, op as WirePatch);
  else if (op && fill?.block.id === blockId(op as WireInstance)) sync(page, fill, op as WireInstance);
  else {
    if (fill) drop(page, fill);
    inst.fills[i] = op ? insert(page, [op as WireInstance], n)[0] : undefined;
  }
}

function range(page: Page, old: Instance[], { u, d = [], o, i }: RangeOp, end: Node): Instance[] {
  pairs<WirePatch | WireInstance>(u, (at, op) => {
    const row = old[at];
    if (!isInstance(op)) return apply(page, row, op as WirePatch);
    [old[at]] = insert(page, [op], firstNode(row));
    drop(page, row);
  });
  const gone = new Set<Instance>();
  for (const run of d) {
    const [from, to = from] = listOf(run);
    for (const row of old.slice(from, to + 1)) {
      gone.add(row);
      drop(page, row);
    }
  }
  const arrivals: [number, Instance | WireInstance[]][] = [];
  pairs<number>(o, (from, to) => {
    gone.add(old[from]);
    arrivals.push([to, old[from]]);
  });
  pairs<WireInstance[]>(i, (at, rows) => arrivals.push([at, rows]));
  const stay = gone.size ? old.filter((row) => !gone.has(row)) : old;
  const runs: Instance[][] = [];
  let next = 0; // of those that stay
  let length = 0;
  for (const [at, rows] of arrivals.sort((a, b) => a[0] - b[0])) {
    runs.push(stay.slice(next, (next += at - length)));
    const ref = stay[next] ? firstNode(stay[next]) : end;
    const run = Array.isArray(rows) ? insert(page, rows, ref) : [move(rows, ref)];
    runs.push(run);
    length = at + run.length;
  }
  return ([] as Instance[]).concat(...runs, stay.slice(next));
}

/** Pairs rows by key, or by position when they have none, equal keys in order, and puts them in order. */
function syncRows(page: Page, old: Instance[], wire: WireInstance[], end: Node): Instance[] {
  const free = new Map<unknown, Instance[]>();
  old.forEach((row, j) => {
    const key = rowKey(row) ?? j;
    (free.get(key) ?? free.set(key, []).get(key)!).push(row);
  });
  const found = wire.map((w, j) => {
    const rows = free.get(wireKey(page, w) ?? j);
    return rows?.[0]?.block.id === blockId(w) ? rows.shift() : undefined;
  });
  const kept = new Set(found);
  for (const row of old) if (!kept.has(row)) drop(page, row);
  const out: Instance[] = [];
  for (let j = wire.length, ref = end; j--; ref = firstNode(out[j])) {
    const row = found[j];
    if (row) {
      if (of(row.last, "nextSibling") !== ref) move(row, ref);
      sync(page, row, wire[j]);
    }
    out[j] = row ?? insert(page, [wire[j]], ref)[0];
  }
  return out;
}

/** The key of a row on the wire. */
function wireKey(page: Page, w: WireInstance): string | undefined {
  const { key, parts } = page.block(blockId(w));
  if (key === undefined) return;
  const part = parts[key];
  const v = listOf<unknown>(w)[key + 1];
  return part.name ? decode(source(part, v), true) : v ? wireKey(page, v as WireInstance) : undefined;
}
