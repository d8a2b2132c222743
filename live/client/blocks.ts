// Blocks: the manifest's skeletons, prepared once and cloned for each instance.

import { attr, call, of } from "./dom";
import { given } from "./given";

/** What the server sends once about its templates; docs/protocol.md has the grammar. */
export interface Manifest {
  v: number;
  /** The root block's number. */
  r: number;
  b: (ManifestBlock | 0)[];
}

export interface ManifestBlock {
  /** Skeleton HTML with the units' places marked. */
  h: string;
  /** The units: a kind, or [kind, text before, text behind, names]. */
  u: (string | string[])[];
  /** As a row: the unit that carries its key, an attribute or the call of another block. */
  k?: number;
  /** Namespace of the skeleton's elements. */
  n?: "svg" | "math";
}

/** Throws unless the page or the message is as expected. Only a snapshot helps then. */
export function check(ok: unknown, what: string): asserts ok {
  if (!ok) throw Error(`${what} expected`);
}

/** Where a unit is in its skeleton, and what is fixed around its value. */
export interface Part {
  kind: string;
  head: string;
  tail: string;
  /** Child positions from the skeleton's root. */
  path: number[];
  /** Its attribute, for kind A. */
  name?: string;
  /** The attributes that kind S can set; undefined when nobody knows. */
  names?: string[];
  /** The attributes that kind S never touches. */
  fixed?: string[];
  /** A region that is all its element holds. */
  only?: boolean;
  /** Parsers drop a newline that it begins with. */
  first?: boolean;
  /** It says what a field shows, see controls.ts. */
  control?: boolean;
  /** An element whose content the skeleton could be. */
  host: Element;
}

export interface Block {
  id: number;
  content: DocumentFragment;
  parts: Part[];
  /** What hydration walks. None if the block is empty, or one unit: all that the page holds. */
  spots: Spot[];
  /** The skeleton's first node is its first unit. */
  lead: boolean;
  /** See ManifestBlock.k. */
  key?: number;
}

/** A skeleton's node; of an element that holds no units, its inside is left out. */
export interface Spot {
  /** Its nodeName. */
  tag: string;
  /** Its text; an element has none. */
  data?: string;
  /** One for a text or comment, any for an element. */
  units: number[];
  inner: Spot[];
}

/** What may be one or several, as a list. */
export const listOf = <T>(v: T | T[]): T[] => (Array.isArray(v) ? v : [v]);

const MARK = "\uFDD0";

export const isElement = (n?: Node | null): n is Element => n instanceof Element;
export const isText = (n?: Node | null): n is Text => n instanceof Text;
export const isComment = (n?: Node | null): n is Comment => n instanceof Comment;

/** The node that holds a node's children; a template's are its content's. */
export const inside = (n: Node): Node => (n instanceof HTMLTemplateElement ? n.content : n);

/** A document where nothing loads and nothing runs. */
const inert = inside(document.createElement("template")).ownerDocument!;

/** Keeps Chromium from its fast parser, which decodes "&copy=1" in attributes. */
const SLOW = "<!---->";

/** Parses HTML as the content of an element like the one given. */
export function parse(html: string, like?: Node | null): ParentNode & Node {
  const host = isElement(like) ? inert.importNode(like) : inert.createElement("div");
  host.innerHTML = given.html(SLOW + html);
  const content = inside(host) as ParentNode & Node;
  content.firstChild!.remove();
  return content;
}

const pad = inert.createElement("div");

/** Decodes the entities of text or, as an attribute, of a value, where "&copy=1" is none. */
export function decode(s: string, attribute?: boolean): string {
  if (!s.includes("&")) return s;
  pad.innerHTML = given.html(attribute ? `${SLOW}<p a="${s.replace(/"/g, "&#34;")}">` : s);
  return attribute ? (pad.lastChild as Element).getAttribute("a")! : pad.textContent!;
}

/** Finds every unit of a skeleton and takes the marks out. */
export function prepare(id: number, m: ManifestBlock): Block {
  const tag = m.n ?? "template";
  const host = parse(`<${tag}></${tag}>`).firstChild as Element;
  const content = inside(inert.createElement("template")) as DocumentFragment;
  content.append(...parse(m.h, host).childNodes);
  const parts = m.u.map((u): Part => {
    const [kind, head = "", tail = "", names = ""] = listOf(u);
    return { kind, head, tail, host, path: [], names: names === "*" ? undefined : names.split(" ") };
  });
  const spots = walk(content, parts, [], []);
  const [first] = spots;
  return { id, content, parts, spots, lead: !!first?.data && !!first.units.length, key: m.k };
}

/** Describes the children of a node; own gets the unit that is all it holds. */
function walk(parent: Node, parts: Part[], path: number[], own: number[]): Spot[] {
  const spots: Spot[] = [];
  [...of(inside(parent), "childNodes")].forEach((n, i, all) => {
    const here = [...path, i];
    const units: number[] = [];
    const spot: Spot = { tag: of(n, "nodeName"), data: isElement(n) ? undefined : (n as Text).data, units, inner: [] };
    if (isElement(n)) {
      attributes(n, parts, here, units);
      const inner = walk(n, parts, here, units);
      // Where scripts run, noscript holds text.
      if (inner.some((s) => s.units[0] >= 0 || s.inner[0]) && spot.tag !== "NOSCRIPT") spot.inner = inner;
    } else {
      const unit = isComment(n) ? +n.data : unitOf((n as Text).data);
      const part = parts[unit];
      if (part) {
        part.first = !i && /^(PRE|LISTING|TEXTAREA)$/.test(parent.nodeName);
        if (isContent(part)) {
          own.push(unit);
          part.path = path;
          return n.remove();
        }
        units.push(unit);
        part.path = here;
        part.only = all.length === 1 && isElement(parent);
        (n as Text).data = isText(n) ? "" : "]";
      }
    }
    spots.push(spot);
  });
  return spots;
}

/** The unit is all that an element holds. */
const isContent = ({ kind }: Part) => "RHI".includes(kind);

/** The unit that a mark stands for, NaN for anything else. */
const unitOf = (s: string) => +s.split(MARK)[1];

function attributes(e: Element, parts: Part[], path: number[], units: number[]): void {
  for (const name of call(e, "getAttributeNames")) {
    const unit = unitOf(name + attr(e, name));
    const part = parts[unit];
    if (!part) continue;
    units.push(unit);
    part.path = path;
    if (part.kind === "A") {
      part.name = name;
      call(e, "getAttributeNode", name)!.value = "";
    } else {
      call(e, "removeAttribute", name);
      part.fixed = call(e, "getAttributeNames");
    }
  }
}
