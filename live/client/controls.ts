// What the nodes of a page are for: which fields a template controls, and which
// rows are known by a key. The input policy asks.

import { call } from "./dom";
import type { Part } from "./blocks";
import { given } from "./given";

/** What the template says the value of: fields, and options. */
export const controlled = new WeakSet<Node>();
/** Elements that carry the key of their row. */
export const keyed = new WeakSet<Node>();

export const isControl = (name?: string): boolean => /^(value|checked|selected)$/.test(name!);

const controls = ({ kind, name, names = ["value"] }: Part) => kind === "R" || (name ? isControl(name) : names.some(isControl));

given.enroll = ({ block: { key, parts }, nodes }) => {
  parts.forEach((part, i) => (part.control ??= controls(part)) && controlled.add(nodes[i]));
  if (key !== undefined && parts[key].name) keyed.add(nodes[key]);
};

/** As the parser has made it: with its namespace and its case, and under names that setAttribute refuses. */
given.attribute = (el, name, value, like) => {
  const old = call(el, "getAttributeNode", name);
  const made = like && call(like, "getAttributeNode", name);
  if (old) old.value = value;
  else if (made) call(el, "setAttributeNode", made.cloneNode() as Attr);
  else call(el, "setAttribute", name, value);
};

/** What the server sends is html/template's output: a page with Trusted Types allows it by the policy "lastmile". */
const policy = (window as { trustedTypes?: { createPolicy(name: string, rules: object): { createHTML(html: string): string } } })
  .trustedTypes?.createPolicy("lastmile", { createHTML: (html: string) => html });

given.html = (html) => (policy ? policy.createHTML(html) : html);
