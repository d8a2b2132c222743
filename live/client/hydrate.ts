// Hydration: adopts the server's HTML by walking skeletons and live nodes side
// by side. Comments mark the regions (docs/protocol.md); nothing is rendered.

import { call, of } from "./dom";
import { check, isComment, isText, type Block, type Spot } from "./blocks";
import { given } from "./given";
import { written, type Instance, type Run } from "./instance";

// Where the walk is; it never waits, so one place to keep that is enough.
let under: Node;
/** The next child of under that is not adopted yet. */
let next: ChildNode | null;
let blockOf: (id: number) => Block;

/** The block that a comment names. */
const numberOf = (mark: Comment, from: number) => parseInt(mark.data.slice(from), 36);

const isEnd = (n: Node | null): n is Comment => isComment(n) && n.data === "]";

/** Adopts the children of root as a block. Throws when they are not. */
export function hydrate(root: Node, id: number, block: (id: number) => Block): Instance {
  root.normalize(); // parsers split long texts
  blockOf = block;
  under = root;
  next = root.firstChild;
  const inst = adopt(id);
  check(!next, "end");
  return inst;
}

function adopt(id: number): Instance {
  const block = blockOf(id);
  const { spots } = block;
  const inst: Instance = { block, nodes: [], fills: [], first: under, last: under };
  if (spots[0]) {
    const all = walk(inst, spots);
    inst.first = all[0];
    inst.last = all.at(-1)!;
  } else if (block.parts[0]) {
    inst.nodes[0] = under;
    next = null;
  } else inst.first = inst.last = call(under, "insertBefore", new Text(), next);
  given.enroll(inst);
  return inst;
}

const walk = (inst: Instance, spots: Spot[]) => spots.map((s) => spot(inst, s));

/** Adopts a node, or a region with what is in it. */
function spot(inst: Instance, s: Spot): Node {
  const { tag, units } = s;
  const n = tag === "#text" ? text(s) : tag === "#comment" ? region(inst, units[0]) : element(inst, s);
  for (const u of units) inst.nodes[u] = n;
  return n;
}

function element(inst: Instance, { tag, inner }: Spot): Node {
  const n = next;
  check(n && of(n, "nodeName") === tag, tag);
  if (inner[0]) {
    const outer = under;
    under = n;
    next = of(n, "firstChild");
    rest(walk(inst, inner).at(-1));
    under = outer;
  }
  next = of(n, "nextSibling");
  return n;
}

/** Throws when a text at the end of its element is not all: somebody has wrapped a part. */
const rest = (last?: Node) => check(!isText(last) || !next || !of(next, "textContent"), "end");

function text({ data, units }: Spot): Node {
  let n: Node | null = next;
  if (!units.length) {
    check(isText(n) && n.data.startsWith(data!), "text");
    // The next row's text may have joined this one's.
    if (n.length > data!.length) n.splitText(data!.length);
  } else if (isComment(n) && n.data === "[h") {
    n = html(n);
  } else if (!isText(n)) {
    n = call(under, "insertBefore", new Text(), n);
  }
  written(n);
  next = n.nextSibling;
  return n;
}

/** A text run of trusted HTML between two comments. */
function html(start: Comment): Text {
  const run: Run = new Text();
  run.html = [];
  let n = start.nextSibling;
  for (; n && !isEnd(n); n = of(n, "nextSibling")) {
    written(n);
    run.html.push(n);
  }
  check(n, "end");
  n.replaceWith(run);
  start.remove();
  return run;
}

/** Takes a start mark out. */
function take(): Comment {
  const mark = next;
  check(isComment(mark), "mark");
  next = mark.nextSibling;
  mark.remove();
  return mark;
}

function region(inst: Instance, unit: number): Node {
  const { kind, only } = inst.block.parts[unit];
  const start = take();
  check(start.data[0] === "[", "mark");
  const shape = numberOf(start, 1);
  if (kind === "L") {
    const rows: Instance[] = (inst.fills[unit] = []);
    while (next && !isEnd(next)) rows.push(adopt(shape || numberOf(take(), 0)));
  } else if (shape) inst.fills[unit] = adopt(shape);
  if (only) rest((inst.fills[unit] as Instance)?.last);
  const end = only ? call(under, "insertBefore", new Comment("]"), null) : next;
  check(isEnd(end), "end");
  next = end.nextSibling;
  return end;
}
