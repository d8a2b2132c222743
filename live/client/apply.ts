// Patches and snapshots on the instances of a page; docs/protocol.md has their
// grammar.

import { check, decodeAttribute, isElement, type Block } from "./blocks";
import { eachNode, firstNode, move, rowKey, type Instance } from "./instance";
import type { MorphContext } from "./morph";
import { writeUnit } from "./units";

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
export interface Page extends MorphContext {
  block(id: number): Block;
}

const listOf = (w: WireInstance) => [w].flat() as [number, ...unknown[]];
const isInstance = (w: unknown): w is WireInstance => listOf(w as WireInstance)[0] < 0;
const blockId = (w: WireInstance) => -listOf(w)[0] - 1;

/** Makes an instance and puts its nodes before ref. */
export function make(page: Page, w: WireInstance, parent: Node, ref: Node | null): Instance {
  const block = page.block(blockId(w));
  const { content, parts } = block;
  const values = listOf(w);
  check(values.length === parts.length + 1, "block");
  const root = content.cloneNode(true);
  const nodes = parts.map(({ path }) => {
    let n = path.length ? root : parent; // a page can be one unit
    for (let k of path) {
      n = n.firstChild!;
      while (k--) n = n.nextSibling!;
    }
    return n;
  });
  if (!root.firstChild) root.appendChild(new Text());
  const inst: Instance = { block, nodes, fill: [], first: root.firstChild!, last: root.lastChild! };
  parts.forEach((part, i) => {
    const n = nodes[i];
    const v = values[i + 1];
    const add = (row: WireInstance) => make(page, row, n.parentNode!, n);
    if (part.kind === "L") inst.fill[i] = (v as WireInstance[]).map(add);
    else if (part.kind !== "B") writeUnit(part, n, v);
    else if (v) inst.fill[i] = add(v as WireInstance);
  });
  parent.insertBefore(root, ref);
  return inst;
}

/** Makes instances in the page, before ref. */
function insert(page: Page, rows: WireInstance[], ref: Node): Instance[] {
  const batch = document.createDocumentFragment();
  const made = rows.map((w) => make(page, w, batch, null));
  ref.parentNode!.insertBefore(batch, ref);
  for (const row of made) eachNode(row, page.mounted);
  return made;
}

function drop(page: Page, inst: Instance): void {
  eachNode(inst, (n) => {
    page.destroyed(n);
    n.remove();
  });
}

export function apply(page: Page, inst: Instance, p: WirePatch): void {
  for (let j = 0; j < p.length; j += 2) {
    const i = p[j] as number;
    const op = p[j + 1];
    const fill = inst.fill[i];
    const part = inst.block.parts[i];
    check(part, "unit");
    if (part.kind === "L") inst.fill[i] = range(page, fill as Instance[], op as RangeOp, inst.nodes[i]);
    else if (part.kind !== "B") write(page, inst, i, op);
    else if (!op || isInstance(op)) refill(page, inst, i, op as WireInstance | 0);
    else apply(page, fill as Instance, op as WirePatch);
  }
}

function write(page: Page, inst: Instance, i: number, v: unknown): void {
  const n = inst.nodes[i];
  if (writeUnit(inst.block.parts[i], n, v, page)) page.updated(isElement(n) ? n : n.parentNode!);
}

/** Replaces what fills a branch or call. */
function refill(page: Page, inst: Instance, i: number, w: WireInstance | 0): void {
  const old = inst.fill[i];
  if (old) drop(page, old as Instance);
  inst.fill[i] = w ? insert(page, [w], inst.nodes[i])[0] : undefined;
}

function range(page: Page, old: Instance[], { u = [], d = [], o = [], i = [] }: RangeOp, end: Node): Instance[] {
  for (let j = 0; j < u.length; j += 2) {
    const at = u[j] as number;
    const op = u[j + 1];
    const row = old[at];
    if (isInstance(op)) {
      [old[at]] = insert(page, [op], firstNode(row));
      drop(page, row);
    } else apply(page, row, op as WirePatch);
  }
  const rest: (Instance | undefined)[] = old.slice();
  for (const run of d) {
    const [from, to = from] = [run].flat();
    for (let j = from; j <= to; j++) {
      drop(page, old[j]);
      rest[j] = undefined;
    }
  }
  const arrivals: [number, Instance | WireInstance[]][] = [];
  for (let j = 0; j < o.length; j += 2) {
    rest[o[j]] = undefined;
    arrivals.push([o[j + 1], old[o[j]]]);
  }
  for (let j = 0; j < i.length; j += 2) arrivals.push([i[j] as number, i[j + 1] as WireInstance[]]);
  arrivals.sort((a, b) => a[0] - b[0]);
  const stay = rest.filter((row) => row) as Instance[];
  const out: Instance[] = [];
  for (const [at, rows] of arrivals) {
    out.push(...stay.splice(0, at - out.length));
    const ref = stay[0] ? firstNode(stay[0]) : end;
    if (Array.isArray(rows)) out.push(...insert(page, rows, ref));
    else {
      move(rows, ref);
      out.push(rows);
    }
  }
  return out.concat(stay);
}

/** Makes an instance of the page what a snapshot says. */
export function sync(page: Page, inst: Instance, w: WireInstance): void {
  const values = listOf(w);
  const { block } = inst;
  check(blockId(w) === block.id && values.length === block.parts.length + 1, "block");
  block.parts.forEach(({ kind }, i) => {
    const v = values[i + 1] as WireInstance;
    const fill = inst.fill[i];
    if (kind === "L") inst.fill[i] = syncRows(page, fill as Instance[], v as unknown as WireInstance[], inst.nodes[i]);
    else if (kind !== "B") kind !== "I" && write(page, inst, i, v);
    else if (fill && blockId(v) === (fill as Instance).block.id) sync(page, fill as Instance, v);
    else if (fill || v) refill(page, inst, i, v);
  });
}

/** Pairs rows by key, or by position when they have none, and puts them in order. */
function syncRows(page: Page, old: Instance[], wire: WireInstance[], end: Node): Instance[] {
  const free = new Map(old.map((row, j) => [rowKey(row) ?? j, row]));
  const found = wire.map((w, j) => {
    const key = wireKey(page, w) ?? j;
    const row = free.get(key);
    return row?.block.id === blockId(w) && free.delete(key) ? row : undefined;
  });
  for (const row of old) if (!found.includes(row)) drop(page, row);
  const out: Instance[] = [];
  for (let j = wire.length, ref = end; j--; ref = firstNode(out[j])) {
    const row = found[j];
    if (row) {
      if (row.last.nextSibling !== ref) move(row, ref);
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
  const { name, before, after } = parts[key];
  const v = listOf(w)[key + 1];
  return name ? decodeAttribute(before + v + after) : v ? wireKey(page, v as WireInstance) : undefined;
}
