// Instances: blocks that are in the page. They hold no values, only the nodes
// that values go to.

import { isElement, isText, type Block } from "./blocks";

export interface Instance {
  id: number;
  block: Block;
  /** For each unit its text node, element, or the comment behind its region. */
  nodes: Node[];
  /** What fills each region. */
  fill: (Instance | Instance[] | undefined)[];
  /** The first node, unless that is a unit's. */
  first: Node;
  last: Node;
}

/** A text run that holds trusted HTML keeps its nodes, which lie before it. */
export interface Run extends Text {
  html?: ChildNode[];
}

export function firstNode(inst: Instance): Node {
  const { lead } = inst.block;
  if (lead < 0) return inst.first;
  const node = inst.nodes[lead];
  if (isText(node)) return (node as Run).html?.[0] ?? node;
  const fill = inst.fill[lead];
  const child = Array.isArray(fill) ? fill[0] : fill;
  return child ? firstNode(child) : node;
}

/** Calls fn for each top node of an instance; fn may move or remove it. */
export function eachNode(inst: Instance, fn: (n: ChildNode) => void): void {
  for (let n: Node | null = firstNode(inst); n; ) {
    const next: Node | null = n === inst.last ? null : n.nextSibling;
    fn(n as ChildNode);
    n = next;
  }
}

/** Moves an instance's nodes, keeping what moving would lose where browsers can. */
export function moveBefore(inst: Instance, parent: Node, ref: Node): void {
  const to = parent as Node & { moveBefore?(n: Node, ref: Node | null): void };
  const active = document.activeElement as HTMLElement | null;
  eachNode(inst, (n) =>
    to.moveBefore && to.isConnected && n.isConnected ? to.moveBefore(n, ref) : to.insertBefore(n, ref),
  );
  if (active !== document.activeElement && active?.isConnected) active.focus({ preventScroll: true });
}

/** The key of a row in the page, if it has one. */
export function rowKey(inst: Instance): string | null {
  const { key, lead, parts } = inst.block;
  if (key >= 0 && isElement(inst.nodes[key])) return inst.nodes[key].getAttribute(parts[key].name);
  const fill = lead >= 0 && inst.fill[lead];
  return fill && !Array.isArray(fill) ? rowKey(fill) : null;
}
