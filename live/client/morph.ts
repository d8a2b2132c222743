// Keyed morph: turns the children of a node into those of another with as few
// changes as it can. For irregular templates and for pages of unknown content.

import { inside, isElement } from "./blocks";
import type { InputPolicy } from "./input";

export interface MorphContext {
  inputs: InputPolicy;
  mounted(n: Node): void;
  destroyed(n: Node): void;
  updated(n: Node): void;
  /** Told which live node took the place of a new one. */
  paired?(next: Node, live: Node): void;
}

/** Nodes of one kind and name can become each other. */
function signature(n: Node): string {
  if (!isElement(n)) return n.nodeName;
  const key = n.id || n.getAttribute("data-key") || n.getAttribute("key") || n.getAttribute("name");
  return `${n.nodeName} ${key ?? ""}`;
}

/** Gives live the children of next, which is used up. */
export function morph(live: Node, next: Node, c: MorphContext): void {
  c.paired?.(next, live);
  [live, next] = [inside(live), inside(next)];
  const pool = new Map<string, ChildNode[]>();
  for (const n of live.childNodes) {
    const s = signature(n);
    pool.set(s, [...(pool.get(s) ?? []), n]);
  }
  const pairs = [...next.childNodes].map((n) => [n, pool.get(signature(n))?.shift()] as const);
  for (const rest of pool.values()) {
    for (const n of rest) {
      c.destroyed(n);
      n.remove();
    }
  }
  let at = live.firstChild;
  for (const [n, m] of pairs) {
    if (m && m === at) at = m.nextSibling;
    else live.insertBefore(m ?? n, at);
    if (m) same(m, n, c);
    else c.mounted(n);
  }
}

function same(live: Node, next: Node, c: MorphContext): void {
  if (!isElement(live) || !isElement(next)) {
    c.paired?.(next, live);
    if (live.nodeValue !== next.nodeValue) live.nodeValue = next.nodeValue;
    return;
  }
  attributes(live, next, c);
  if (live.hasAttribute("live-ignore")) c.paired?.(next, live);
  else if (live instanceof HTMLTextAreaElement) {
    c.paired?.(next, live);
    if (live.defaultValue !== next.textContent) {
      live.textContent = next.textContent;
      c.inputs.text(live);
    }
  } else morph(live, next, c);
}

function attributes(live: Element, next: Element, c: MorphContext): void {
  const before = live.attributes.length;
  let changed = false;
  for (const { name, value } of next.attributes) {
    if (live.getAttribute(name) === value) continue;
    c.inputs.write(live, name, value);
    changed = true;
  }
  if (changed || before > next.attributes.length) {
    for (const name of live.getAttributeNames()) {
      // Whether a details or dialog is open is the user's to say.
      const kept = name === "open" && /^(details|dialog)$/.test(live.localName) && !live.hasAttribute("live-force");
      if (next.hasAttribute(name) || kept) continue;
      c.inputs.write(live, name, null);
      changed = true;
    }
  }
  if (changed) c.updated(live);
}
