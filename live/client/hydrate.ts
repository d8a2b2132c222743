// Hydration: adopts the server's HTML by walking skeletons and live nodes side
// by side. Comments mark the regions (docs/protocol.md); nothing is rendered.

import { check, isComment, isContent, isText, type Block, type SkeletonNode } from "./blocks";
import type { Instance, Run } from "./instance";

/** The live node that comes next, under its parent. */
interface Cursor {
  parent: Node;
  next: ChildNode | null;
  block: (id: number) => Block;
}

/** The block that a comment names. */
const numberOf = (mark: Node, from: number) => parseInt(mark.nodeValue!.slice(from), 36);

const isEnd = (n: Node | null): n is Comment => isComment(n) && n.data === "]";

/** Adopts the children of root as a block. Throws PatchError when they are not. */
export function hydrate(root: Node, id: number, block: (id: number) => Block): Instance {
  root.normalize(); // parsers split long texts
  const cursor = { parent: root, next: root.firstChild, block };
  const inst = adopt(id, cursor);
  check(!cursor.next, "end");
  return inst;
}

function adopt(id: number, c: Cursor): Instance {
  const block = c.block(id);
  const content: SkeletonNode = block.content;
  const inst: Instance = { block, nodes: [], fill: [], first: c.parent, last: c.parent };
  if (content.units) {
    inst.nodes[0] = c.parent; // the whole page is one unit
    c.next = null;
  } else if (content.firstChild) list(inst, content, c);
  else inst.first = inst.last = c.parent.insertBefore(new Text(), c.next);
  return inst;
}

function list(inst: Instance, skeleton: Node, c: Cursor): void {
  for (let s: SkeletonNode | null = skeleton.firstChild; s; s = s.nextSibling) {
    const n = isText(s) ? text(s, c) : isComment(s) ? region(inst, s, c) : element(inst, s, c);
    for (const u of s.units ?? []) inst.nodes[u] = n;
    if (s.parentNode !== inst.block.content) continue;
    if (!s.previousSibling) inst.first = n;
    inst.last = n;
  }
}

function element(inst: Instance, s: SkeletonNode, c: Cursor): Node {
  const n = c.next;
  check(n?.nodeName === s.nodeName, s.nodeName);
  c.next = n.nextSibling;
  const whole = s.units?.some((u) => isContent(inst.block.parts[u]));
  if (!whole && s.firstChild && s.nodeName !== "NOSCRIPT" && !(n as unknown as Element).hasAttribute("live-ignore")) {
    list(inst, s, { ...c, parent: n, next: n.firstChild });
  }
  return n;
}

function text(s: SkeletonNode & Text, c: Cursor): Node {
  let n: Node | null = c.next;
  if (!s.units) {
    check(isText(n) && n.data.startsWith(s.data), "text");
    // The next row's text may have joined this one's.
    if (n.length > s.length) n.splitText(s.length);
  } else if (isComment(n) && n.data === "[h") {
    n = html(n);
  } else if (!isText(n)) {
    n = c.parent.insertBefore(new Text(), n);
  }
  c.next = n.nextSibling;
  return n;
}

/** A text run of trusted HTML between two comments. */
function html(start: Comment): Text {
  const run: Run = new Text();
  run.html = [];
  let n = start.nextSibling;
  for (; n && !isEnd(n); n = n.nextSibling) run.html.push(n);
  check(n, "end");
  n.replaceWith(run);
  start.remove();
  return run;
}

function region(inst: Instance, s: SkeletonNode, c: Cursor): Node {
  const unit = s.units![0];
  const { kind, only } = inst.block.parts[unit];
  const start = c.next;
  check(isComment(start) && start.data[0] === "[", "region");
  c.next = start.nextSibling;
  start.remove();
  const shape = numberOf(start, 1);
  if (kind === "L") inst.fill[unit] = rows(shape, c);
  else if (shape) inst.fill[unit] = adopt(shape, c);
  const end = only ? c.parent.appendChild(new Comment("]")) : c.next;
  check(isEnd(end), "end");
  c.next = end.nextSibling;
  return end;
}

function rows(shape: number, c: Cursor): Instance[] {
  const out: Instance[] = [];
  while (c.next && !isEnd(c.next)) {
    const mark = c.next;
    if (!shape) {
      check(isComment(mark), "row");
      c.next = mark.nextSibling;
      mark.remove();
    }
    out.push(adopt(shape || numberOf(mark, 0), c));
  }
  return out;
}
