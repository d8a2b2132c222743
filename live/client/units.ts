// Units: how one value reaches its place in the DOM.

import { decodeAttribute, decodeText, inside, isElement, parse, PatchError, type Part } from "./blocks";
import type { Run } from "./instance";
import { morph, type MorphContext } from "./morph";

/**
 * Gives a unit its value, and says whether the page has changed. Values are
 * html/template's output, so they are decoded or parsed here and nowhere else.
 * Without a context the node is new: nobody can have touched it.
 */
export function writeUnit(part: Part, n: Node, value: string, c?: MorphContext): boolean {
  if (typeof value !== "string") throw new PatchError(`${value} for unit ${part.kind}`);
  const v = part.before + value + part.after;
  switch (part.kind) {
    case "T":
      return writeText(n as Run, v, part.host, c);
    case "A":
      return writeAttribute(n as Element, part.name, decodeAttribute(v), c);
    case "S":
      return writeSpan(part, n as Element, v, c);
    case "R":
      return writeRaw(n as Element, v, c);
  }
  const next = parse(afterTag(n, v), n);
  if (c) morph(n, next, c);
  else (inside(n) as Element).append(...next.childNodes);
  return true;
}

/** Parsers drop the first newline of these. */
const afterTag = (parent: Node, s: string) =>
  s[0] === "\n" && /^(pre|listing|textarea)$/i.test(parent.nodeName) ? s.slice(1) : s;

function writeText(n: Run, v: string, host: Element, c?: MorphContext): boolean {
  const parent = n.parentNode;
  if (!parent) throw new PatchError("a text was replaced by somebody else");
  if (v[0] === "\n" && !n.previousSibling) v = afterTag(parent, v);
  const old = n.html ?? [];
  if (!v.includes("<")) {
    const text = decodeText(v);
    if (!old.length && n.data === text) return false;
    n.data = text;
    old.forEach((h) => leave(h, c));
    n.html = undefined;
    return true;
  }
  const nodes = [...parse(v, isElement(parent) ? parent : host).childNodes];
  if (old.length === nodes.length && old.every((h, i) => h.isEqualNode(nodes[i]))) return false;
  old.forEach((h) => leave(h, c));
  n.data = "";
  n.before(...nodes);
  n.html = nodes;
  if (c) nodes.forEach(c.mounted);
  return true;
}

function leave(n: ChildNode, c?: MorphContext): void {
  c?.destroyed(n);
  n.remove();
}

function writeAttribute(n: Element, name: string, v: string | null, c?: MorphContext): boolean {
  if (n.getAttribute(name) === v) return false;
  if (c) c.inputs.write(n, name, v);
  else n.setAttribute(name, v!);
  return true;
}

/** A run of attributes: those that the server may set and did not are removed. */
function writeSpan(part: Part, n: Element, v: string, c?: MorphContext): boolean {
  const next = (parse(`<${n.localName} ${v} >`, part.host).firstChild as Element).attributes;
  let changed = false;
  for (const name of part.names ?? n.getAttributeNames()) {
    if (name && !next.getNamedItem(name) && !part.fixed.includes(name) && n.hasAttribute(name)) {
      changed = writeAttribute(n, name, null, c) || changed;
    }
  }
  for (const a of next) {
    if (!part.fixed.includes(a.name)) changed = writeAttribute(n, a.name, a.value, c) || changed;
  }
  return changed;
}

function writeRaw(n: Element, v: string, c?: MorphContext): boolean {
  const text = /^(textarea|title)$/i.test(n.nodeName) ? decodeText(afterTag(n, v)) : v;
  if (n.textContent === text) return false;
  n.textContent = text;
  if (c && n instanceof HTMLTextAreaElement) c.inputs.text(n);
  return true;
}
