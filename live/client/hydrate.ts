// Hydration: adopts the server's HTML by walking skeletons and live nodes side
// by side. Comments mark the regions (docs/protocol.md); nothing is rendered.

import { isComment, isElement, isText, PatchError, type Block, type SkeletonNode } from "./blocks";
import type { Instance, Run } from "./instance";

/** The live node that comes next, under its parent. */
interface Cursor {
  parent: Node;
  next: ChildNode | null;
}

const isEnd = (n: Node | null) => isComment(n) && n.data === "]";

/** Adopts the children of root as block id. Throws PatchError when they are not. */
export function hydrate(root: Node, id: number, blockOf: (id: number) => Block): Instance {
  root.normalize(); // parsers split long texts
  const cursor = { parent: root, next: root.firstChild };
  const inst = adopt(id, cursor);
  if (cursor.next) throw new PatchError(`unexpected ${cursor.next.nodeName}`);
  return inst;

  function adopt(id: number, c: Cursor): Instance {
    const block = blockOf(id);
    const inst = { id, block, nodes: [], fill: [], first: root, last: root } as Instance;
    if ((block.content as SkeletonNode).units) {
      elements(inst, block.content, c.parent); // the whole page is one unit
      c.next = null;
      return inst;
    }
    list(inst, block.content, c);
    if (!block.content.firstChild) {
      const empty = document.createTextNode("");
      c.parent.insertBefore(empty, c.next);
      inst.first = inst.last = empty;
    }
    return inst;
  }

  function list(inst: Instance, skeleton: SkeletonNode, c: Cursor): void {
    for (let s: SkeletonNode | null = skeleton.firstChild; s; s = s.nextSibling) {
      const n = isText(s) ? text(inst, s, c) : isComment(s) ? region(inst, s, c) : element(inst, s, c);
      if (skeleton !== inst.block.content) continue;
      if (!s.previousSibling) inst.first = n;
      inst.last = n;
    }
  }

  function elements(inst: Instance, s: SkeletonNode, n: Node): void {
    for (const u of s.units ?? []) inst.nodes[u] = n;
  }

  function element(inst: Instance, s: SkeletonNode, c: Cursor): Node {
    const n = c.next;
    if (n?.nodeName !== s.nodeName) throw new PatchError(`<${s.nodeName}> expected, not ${n?.nodeName}`);
    c.next = n.nextSibling;
    elements(inst, s, n);
    const whole = s.units?.some((u) => /[RHI]/.test(inst.block.parts[u].kind));
    if (!whole && s.firstChild && isElement(n) && !n.hasAttribute("live-ignore") && s.nodeName !== "NOSCRIPT") {
      list(inst, s, { parent: n, next: n.firstChild });
    }
    return n;
  }

  function text(inst: Instance, s: SkeletonNode & Text, c: Cursor): Node {
    const unit = s.units?.[0];
    let n = c.next;
    if (unit === undefined) {
      if (!isText(n) || !n.data.startsWith(s.data)) throw new PatchError(`text ${s.data} expected`);
      // The next row's text may have joined this one's.
      if (n.length > s.length) n.splitText(s.length);
    } else if (isComment(n) && n.data === "[h") {
      n = html(n);
    } else if (!isText(n)) {
      n = document.createTextNode("");
      c.parent.insertBefore(n, c.next);
    }
    if (unit !== undefined) inst.nodes[unit] = n;
    c.next = n.nextSibling;
    return n;
  }

  /** A text run of trusted HTML between two comments. */
  function html(start: Comment): Text {
    const run: Run = document.createTextNode("");
    run.html = [];
    let n = start.nextSibling;
    for (; n && !isEnd(n); n = n.nextSibling) run.html.push(n);
    if (!n) throw new PatchError("HTML without end");
    n.replaceWith(run);
    start.remove();
    return run;
  }

  function region(inst: Instance, s: SkeletonNode, c: Cursor): Node {
    const unit = s.units![0];
    const start = c.next;
    if (!isComment(start) || start.data[0] !== "[") throw new PatchError("region expected");
    const shape = start.data.slice(1);
    c.next = start.nextSibling;
    start.remove();
    const { kind, only } = inst.block.parts[unit];
    if (kind === "L") inst.fill[unit] = rows(shape, c);
    else if (shape) inst.fill[unit] = adopt(parseInt(shape, 36), c);
    if (only) c.parent.appendChild(document.createComment("]"));
    const end = only ? c.parent.lastChild! : c.next;
    if (!end || !isEnd(end)) throw new PatchError("end of region expected");
    inst.nodes[unit] = end;
    c.next = end.nextSibling;
    return end;
  }

  function rows(shape: string, c: Cursor): Instance[] {
    const out: Instance[] = [];
    while (c.next && !isEnd(c.next)) {
      let id = shape;
      if (!shape) {
        const mark = c.next as Comment;
        if (!isComment(mark)) throw new PatchError("row expected");
        id = mark.data;
        c.next = mark.nextSibling;
        mark.remove();
      }
      out.push(adopt(parseInt(id, 36), c));
    }
    return out;
  }
}
