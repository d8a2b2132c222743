// Keyed morph: turns the children of a node into those of another with as few
// changes as it can. For irregular templates and for pages of unknown content.

import { attr, call, of } from "./dom";
import { inside, isElement } from "./blocks";
import type { InputPolicy } from "./input";
import { moveNode } from "./instance";

export interface MorphContext {
  inputs: InputPolicy;
  mounted(n: Node): void;
  destroyed(n: Node): void;
  updated(n: Node): void;
  /** Told which live node took the place of a new one. */
  paired?(next: Node, live: Node): void;
}

/** Nodes of one kind and key can become each other. Boxes and radios are known by their values too. */
const signature = (n: Node): string => {
  if (!isElement(n)) return n.nodeName;
  const get = (name: string) => attr(n, name);
  const box = /^(checkbox|radio)$/i.test(get("type")!) && get("value");
  return `${of(n, "nodeName")} ${["id", "data-key", "key", "name"].map(get).find(Boolean)} ${box}`;
};

/** Gives live the children of next, which is used up. */
export function morph(live: Node, next: Node, c: MorphContext): void {
  c.paired?.(next, live);
  live = inside(live);
  const free = new Set(of(live, "childNodes"));
  const pairs = [...of(inside(next), "childNodes")].map((n) => {
    for (const m of free) {
      if (signature(m) === signature(n)) {
        free.delete(m);
        return [n, m];
      }
    }
    return [n];
  });
  for (const n of free) {
    c.destroyed(n);
    call(n, "remove");
  }
  let at: Node | null = of(live, "firstChild");
  for (const [n, m] of pairs) {
    // Elements stay where they can: it is the texts between them that move.
    if (isElement(m)) while (at && at !== m && !isElement(at)) at = of(at, "nextSibling");
    if (m && m === at) at = of(m, "nextSibling");
    else if (m) moveNode(m, live, at);
    else call(live, "insertBefore", n, at);
    if (m) same(m, n, c);
    else c.mounted(n);
  }
}

function same(live: Node, next: Node, c: MorphContext): void {
  if (!isElement(live) || !isElement(next)) {
    if (live.nodeValue !== next.nodeValue) live.nodeValue = next.nodeValue;
    c.paired?.(next, live);
    return;
  }
  const force = call(live, "hasAttribute", "live-force");
  let changed = false;
  for (const name of new Set([...call(live, "getAttributeNames"), ...call(next, "getAttributeNames")])) {
    const v = attr(next, name);
    // Whether a details or dialog is open is the user's to say.
    if (attr(live, name) === v || (name === "open" && v === null && !force)) continue;
    c.inputs.write(live, name, v, next);
    changed = true;
  }
  if (changed) c.updated(live);
  const area = live instanceof HTMLTextAreaElement;
  if (area || call(live, "hasAttribute", "live-ignore")) c.paired?.(next, live);
  else morph(live, next, c);
  if (area && live.defaultValue !== next.textContent) {
    live.textContent = next.textContent;
    c.inputs.text(live);
  }
}
