// Units: how one value reaches its place in the DOM.

import { attr, call, of } from "./dom";
import { check, decode, inside, isElement, parse, type Part } from "./blocks";
import { given } from "./given";
import { known, written, type Run } from "./instance";
import type { MorphContext } from "./morph";

/** What units need of the program around the patch core. */
export interface Context extends MorphContext {
  /** Gives live the children of next. */
  morph(live: Node, next: Node): void;
}

/** A unit's value with what is fixed around it. */
export function source({ head, tail }: Part, value: unknown): string {
  check(typeof value === "string", "text");
  return head + value + tail;
}

/**
 * Gives a unit its value, and says whether the page has changed. Values are
 * html/template's output, so they are decoded or parsed here and nowhere else.
 * Without a context the node is new: nobody can have touched it.
 */
export function writeUnit(part: Part, n: Node, value: unknown, c?: Context): boolean {
  let v = source(part, value);
  const e = n as Element;
  const { kind } = part;
  if (kind === "A") return writeAttribute(e, part.name!, decode(v, true), c);
  const holder = of(n, "parentNode");
  const host = isElement(holder) ? holder : part.host;
  if (kind === "S") return writeSpan(part, e, v, host, c);
  if (part.first) v = v.replace(/^\n/, "");
  if (kind === "T") return writeText(n as Run, v, host, c);
  if (kind === "R") return writeRaw(e, v, c);
  const next = parse(v, n);
  if (c) c.morph(n, next);
  else call(inside(n) as Element, "append", ...next.childNodes);
  return true;
}

function writeText(n: Run, v: string, host: Element, c?: Context): boolean {
  const html = v.includes("<");
  const text = html ? "" : decode(v);
  const same = n.data === text;
  if (!same) n.data = text;
  written(n);
  if (!html && !n.html) return !same;
  const old = n.html ?? [];
  old.forEach(known);
  const nodes = html ? [...parse(v, host).childNodes] : [];
  nodes.forEach(written);
  if (same && old.length === nodes.length && old.every((h, i) => h.isEqualNode(nodes[i]))) return false;
  for (const h of old) {
    c?.destroyed(h);
    call(h, "remove");
  }
  n.before(...nodes);
  n.html = html ? nodes : undefined;
  if (c) nodes.forEach(c.mounted);
  return true;
}

function writeAttribute(e: Element, name: string, v: string | null, c?: Context, like?: Element): boolean {
  if (!c && v !== null) given.attribute(e, name, v, like);
  else if (attr(e, name) === v) return false;
  else c!.inputs.write(e, name, v, like);
  return true;
}

/** A run of attributes: those that the server may set and did not are removed. */
function writeSpan({ names, fixed }: Part, e: Element, v: string, host: Element, c?: Context): boolean {
  const next = parse(`<${of(e, "nodeName")} ${v} >`, host).firstChild as Element;
  let changed = false;
  for (const name of new Set([...(names ?? call(e, "getAttributeNames")), ...call(next, "getAttributeNames")])) {
    if (!fixed!.includes(name) && writeAttribute(e, name, attr(next, name), c, next)) changed = true;
  }
  return changed;
}

function writeRaw(e: Element, v: string, c?: Context): boolean {
  const text = /^t(extarea|itle)$/i.test(e.nodeName) ? decode(v) : v;
  if (e.textContent === text) return false;
  e.textContent = text;
  c?.inputs.text(e);
  return true;
}
