// The patcher: applies the server's patches to the nodes they are about.
// Nothing else is touched, so what the user and the browser keep in the DOM
// (focus, typed text, open details, running animations) stays by construction.

import { decodeAttribute, isElement, isText, prepare, PatchError, type Block, type Manifest } from "./blocks";
import { hydrate } from "./hydrate";
import { createInputPolicy, type InputPolicy } from "./input";
import { eachNode, firstNode, moveBefore, rowKey, type Instance, type Run } from "./instance";
import { morph, type MorphContext } from "./morph";
import { writeUnit } from "./units";

export { PatchError, type Manifest } from "./blocks";
export { createInputPolicy, type InputPolicy } from "./input";

export interface PatchOptions {
  /** Explain mismatches in more detail. */
  dev?: boolean;
  /** The page is not what the manifest describes; a snapshot will repair it. */
  onMismatch?: (why: string) => void;
  /** A tree of elements has come into the page. */
  onMount?: (el: Element) => void;
  /** A unit of the element, or right under it, has changed. */
  onUpdate?: (el: Element) => void;
  /** A tree of elements is about to leave the page. */
  onDestroy?: (el: Element) => void;
  /** Defaults to createInputPolicy(root). */
  inputs?: InputPolicy;
}

export interface Patcher {
  /** Applies a patch. Throws PatchError when it does not fit: then only a snapshot helps. */
  patch(p: unknown): void;
  /** Makes the page what the snapshot says, touching only what differs. */
  snapshot(i: unknown): void;
  /** The page's nodes are known. False until the first snapshot when the HTML could not be adopted. */
  hydrated: boolean;
}

/** An instance on the wire: -(block+1), or [-(block+1), value...]. */
type WireInstance = number | [number, ...unknown[]];
/** [unit, op, unit, op...] */
type WirePatch = (number | unknown)[];

interface RangeOp {
  d?: (number | [number, number])[];
  u?: (number | WirePatch | WireInstance)[];
  o?: number[];
  i?: (number | WireInstance[])[];
}

const isInstance = (w: unknown): w is WireInstance =>
  Array.isArray(w) ? w[0] < 0 : typeof w === "number" && w < 0;

const blockId = (w: WireInstance) => -(typeof w === "number" ? w : w[0]) - 1;

/** Adopts the server's HTML in root. */
export function createPatcher(root: HTMLElement, manifest: Manifest, opts: PatchOptions): Patcher {
  return new DOMPatcher(root, manifest, opts);
}

class DOMPatcher implements Patcher {
  hydrated = false;
  private page?: Instance;
  private blocks: Block[] = [];
  private context: MorphContext;

  constructor(private root: HTMLElement, private manifest: Manifest, private opts: PatchOptions) {
    const hook = (fn?: (el: Element) => void) => (n: Node) => {
      if (fn && isElement(n)) fn(n);
    };
    this.context = {
      inputs: opts.inputs ?? createInputPolicy(root),
      mounted: hook(opts.onMount),
      destroyed: hook(opts.onDestroy),
      updated: hook(opts.onUpdate),
    };
    try {
      this.page = hydrate(root, manifest.r, this.block);
      this.hydrated = true;
    } catch (e) {
      opts.onMismatch?.(opts.dev ? `${e}: ${root.innerHTML.slice(0, 500)}` : `${e}`);
    }
  }

  patch(p: unknown): void {
    this.guard(() => {
      if (!this.page) throw new PatchError("nothing to patch");
      if (isInstance(p)) this.sync(this.page, p);
      else this.apply(this.page, p as WirePatch);
    });
  }

  snapshot(i: unknown): void {
    const w = i as WireInstance;
    if (this.hydrated && this.page) this.guard(() => this.sync(this.page!, w));
    else this.rebuild(w);
  }

  /** After an error the nodes are not known any more: the next snapshot builds anew. */
  private guard(run: () => void): void {
    try {
      run();
    } catch (e) {
      this.hydrated = false;
      throw e instanceof PatchError ? e : new PatchError(`${e}`);
    }
  }

  private block = (id: number): Block => {
    const m = this.manifest.b[id];
    if (!m) throw new PatchError(`no block ${id}`);
    return (this.blocks[id] ??= prepare(m));
  };

  /** Builds the page beside the live one, and lets the live nodes take its place. */
  private rebuild(w: WireInstance): void {
    const next = document.createDocumentFragment();
    const page = this.make(w, next, null);
    const live = new Map<Node, Node>();
    morph(this.root, next, { ...this.context, paired: (n, l) => live.set(n, l) });
    const real = (n: Node) => live.get(n) ?? (n.nodeType === Node.DOCUMENT_FRAGMENT_NODE ? this.root : n);
    const adopt = (inst: Instance) => {
      inst.nodes = inst.nodes.map((n) => {
        const at = real(n);
        if (isText(n)) (at as Run).html = (n as Run).html?.map((h) => real(h) as ChildNode);
        return at;
      });
      [inst.first, inst.last] = [real(inst.first), real(inst.last)];
      for (const f of inst.fill) for (const child of f ? [f].flat() : []) adopt(child);
    };
    adopt(page);
    this.page = page;
    this.hydrated = true;
  }

  /** Makes an instance and puts its nodes before ref. */
  private make(w: WireInstance, parent: Node, ref: Node | null): Instance {
    const id = blockId(w);
    const block = this.block(id);
    const top = block.single ? block.content.firstChild! : block.content;
    const root = top.cloneNode(true);
    const values = typeof w === "number" ? [] : w;
    if (values.length !== (block.parts.length && block.parts.length + 1)) throw new PatchError(`block ${id} does not fit`);
    const nodes = block.parts.map(({ path }) => {
      let n: Node = root;
      for (let i = block.single ? 1 : 0; i < path.length; i++) {
        n = n.firstChild!;
        for (let k = path[i]; k--; ) n = n.nextSibling!;
      }
      return n;
    });
    if (!block.single && !root.firstChild) root.appendChild(document.createTextNode(""));
    const inst: Instance = {
      id, block, nodes, fill: [],
      first: block.single ? root : root.firstChild!,
      last: block.single ? root : root.lastChild!,
    };
    block.parts.forEach((part, i) => {
      const n = nodes[i];
      const v = values[i + 1];
      if (part.kind === "L") inst.fill[i] = (v as WireInstance[]).map((row) => this.make(row, n.parentNode!, n));
      else if (part.kind !== "B") writeUnit(part, n, v as string);
      else if (v !== 0) inst.fill[i] = this.make(v as WireInstance, n.parentNode!, n);
    });
    parent.insertBefore(root, ref);
    return inst;
  }

  /** Makes an instance in the page. */
  private insert(w: WireInstance, ref: Node): Instance {
    const inst = this.make(w, ref.parentNode!, ref);
    if (this.opts.onMount) eachNode(inst, this.context.mounted);
    return inst;
  }

  private drop(inst: Instance): void {
    eachNode(inst, (n) => {
      this.context.destroyed(n);
      n.remove();
    });
  }

  private apply(inst: Instance, p: WirePatch): void {
    for (let j = 0; j < p.length; j += 2) {
      const i = p[j] as number;
      const op = p[j + 1];
      const part = inst.block.parts[i];
      if (!part) throw new PatchError(`block ${inst.id} has no unit ${i}`);
      const fill = inst.fill[i] as Instance | undefined;
      if (part.kind === "L") inst.fill[i] = this.range(inst.fill[i] as Instance[], op as RangeOp, inst.nodes[i]);
      else if (part.kind !== "B") this.write(inst, i, op as string);
      else if (op === 0 || isInstance(op)) this.refill(inst, i, op);
      else if (fill) this.apply(fill, op as WirePatch);
      else throw new PatchError(`block ${inst.id}: unit ${i} is empty`);
    }
  }

  private write(inst: Instance, i: number, v: string): void {
    const n = inst.nodes[i];
    if (writeUnit(inst.block.parts[i], n, v, this.context)) this.context.updated(isElement(n) ? n : n.parentNode!);
  }

  /** Replaces what fills a branch or call. */
  private refill(inst: Instance, i: number, w: WireInstance | 0): void {
    const old = inst.fill[i] as Instance | undefined;
    if (old) this.drop(old);
    inst.fill[i] = w === 0 ? undefined : this.insert(w, inst.nodes[i]);
  }

  private range(old: Instance[], { u = [], d = [], o = [], i = [] }: RangeOp, end: Node): Instance[] {
    for (let j = 0; j < u.length; j += 2) {
      const at = u[j] as number;
      const op = u[j + 1];
      if (!old[at]) throw new PatchError(`no row ${at}`);
      if (isInstance(op)) {
        const row = this.insert(op, firstNode(old[at]));
        this.drop(old[at]);
        old[at] = row;
      } else this.apply(old[at], op as WirePatch);
    }
    if (!d.length && !o.length && !i.length) return old;
    const gone = new Set<number>();
    for (const run of d) {
      const [from, to] = typeof run === "number" ? [run, run] : run;
      for (let j = from; j <= to; j++) {
        gone.add(j);
        this.drop(old[j]);
      }
    }
    const arrivals: [number, Instance | WireInstance[]][] = [];
    for (let j = 0; j < o.length; j += 2) {
      gone.add(o[j]);
      arrivals.push([o[j + 1], old[o[j]]]);
    }
    for (let j = 0; j < i.length; j += 2) arrivals.push([i[j] as number, i[j + 1] as WireInstance[]]);
    if (o.length && i.length) arrivals.sort((a, b) => a[0] - b[0]);
    const rest = gone.size ? old.filter((_, j) => !gone.has(j)) : old;
    const out: Instance[] = [];
    let r = 0;
    for (const [at, what] of arrivals) {
      while (out.length < at && r < rest.length) out.push(rest[r++]);
      const ref = r < rest.length ? firstNode(rest[r]) : end;
      if (Array.isArray(what)) out.push(...this.insertRows(what, ref));
      else {
        moveBefore(what, ref.parentNode!, ref);
        out.push(what);
      }
    }
    return out.concat(rest.slice(r));
  }

  private insertRows(rows: WireInstance[], ref: Node): Instance[] {
    const batch = document.createDocumentFragment();
    const made = rows.map((w) => this.make(w, batch, null));
    ref.parentNode!.insertBefore(batch, ref);
    if (this.opts.onMount) for (const row of made) eachNode(row, this.context.mounted);
    return made;
  }

  /** Compares an instance of the page with one of a snapshot. */
  private sync(inst: Instance, w: WireInstance): void {
    if (blockId(w) !== inst.id) throw new PatchError(`block ${blockId(w)} for ${inst.id}`);
    const values = typeof w === "number" ? [] : w;
    inst.block.parts.forEach(({ kind }, i) => {
      const v = values[i + 1];
      const fill = inst.fill[i];
      if (kind === "L") inst.fill[i] = this.syncRows(fill as Instance[], v as WireInstance[], inst.nodes[i]);
      else if (kind !== "B") kind !== "I" && this.write(inst, i, v as string);
      else if (fill && isInstance(v) && blockId(v) === (fill as Instance).id) this.sync(fill as Instance, v);
      else if (fill || v !== 0) this.refill(inst, i, v as WireInstance | 0);
    });
  }

  /** Pairs rows by key, or by position when they have none, and puts them in order. */
  private syncRows(old: Instance[], wire: WireInstance[], end: Node): Instance[] {
    const keyed = new Map<string | null, Instance>();
    for (const row of old) {
      const key = rowKey(row);
      if (key !== null && !keyed.has(key)) keyed.set(key, row);
    }
    const free = new Set(old);
    const found = wire.map((w, j) => {
      const row = keyed.size ? keyed.get(this.wireKey(w)) : old[j];
      return row && row.id === blockId(w) && free.delete(row) ? row : undefined;
    });
    free.forEach((row) => this.drop(row));
    let ref = end;
    const out: Instance[] = [];
    for (let j = wire.length - 1; j >= 0; j--) {
      const row = found[j];
      if (row) {
        if (row.last.nextSibling !== ref) moveBefore(row, ref.parentNode!, ref);
        this.sync(row, wire[j]);
      }
      out[j] = row ?? this.insert(wire[j], ref);
      ref = firstNode(out[j]);
    }
    return out;
  }

  /** The key of a row on the wire. */
  private wireKey(w: WireInstance): string | null {
    const { key, lead, parts } = this.block(blockId(w));
    if (typeof w === "number") return null;
    if (key >= 0) return decodeAttribute(parts[key].before + w[key + 1] + parts[key].after);
    const child = lead >= 0 && w[lead + 1];
    return isInstance(child) && parts[lead].kind === "B" ? this.wireKey(child) : null;
  }
}
