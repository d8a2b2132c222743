// Instances: blocks that are in the page. They hold no values, only the nodes
// that values go to.

import { attr, call, of } from "./dom";
import { check, isText, listOf, type Block } from "./blocks";

export interface Instance {
  block: Block;
  /** For each unit its text node, element, or the comment behind its region. */
  nodes: Node[];
  /** What fills each region. */
  fills: (Instance | Instance[] | undefined)[];
  /** The first node, unless that is a unit's. */
  first: Node;
  last: Node;
}

/** A text of an instance. One that holds trusted HTML keeps its nodes, which lie before it. */
export interface Run extends Text {
  html?: ChildNode[];
  /** What it held when it was last written or adopted. */
  was?: string;
}

/** Takes note of what a text holds. */
export const written = (n: Node): void => {
  if (isText(n)) (n as Run).was = n.data;
};

/** Throws when somebody else has removed a node, or has split, joined or rewritten a text. */
export function known(n: Node | null): asserts n {
  check(n && of(n, "isConnected") && (!isText(n) || n.data === ((n as Run).was ?? "")), "node");
}

export function firstNode({ block, first, nodes, fills }: Instance): Node {
  if (!block.lead) return first;
  const child = listOf(fills[0])[0];
  return child ? firstNode(child) : ((nodes[0] as Run).html?.[0] ?? nodes[0]);
}

/**
 * Calls fn for each top node of an instance; fn may move or remove it. Throws
 * before the first when somebody has replaced or changed one, as page translators
 * do.
 */
export function eachNode(inst: Instance, fn: (n: ChildNode) => void): void {
  const all: Node[] = [];
  for (let n: Node | null = firstNode(inst); all.at(-1) !== inst.last; n = of(n, "nextSibling")) {
    known(n);
    all.push(n);
  }
  (all as ChildNode[]).forEach(fn);
}

/** Moves a node, keeping what moving would lose where browsers can. */
export function moveNode(n: Node, parent: Node & { moveBefore?(n: Node, ref: Node | null): void }, ref: Node | null): void {
  const active = document.activeElement as HTMLElement | null;
  call(parent, of(parent, "moveBefore") && of(parent, "isConnected") ? "moveBefore" : "insertBefore", n, ref);
  if (active !== document.activeElement) active?.focus({ preventScroll: true });
}

export function move(inst: Instance, ref: Node): Instance {
  eachNode(inst, (n) => moveNode(n, of(ref, "parentNode")!, ref));
  return inst;
}

/** The key of a row in the page, if it has one. */
export function rowKey({ block: { key, parts }, nodes, fills }: Instance): string | null | undefined {
  if (key === undefined) return;
  const { name } = parts[key];
  return name ? attr(nodes[key] as Element, name) : fills[key] && rowKey(fills[key] as Instance);
}
