// Blocks: the manifest's skeletons, prepared once and cloned for each instance.

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

/** The DOM cannot take what the server sent: only a snapshot helps. */
export class PatchError extends Error {}

/** Throws unless the page or the message is as expected. */
export function check(ok: unknown, what: string): asserts ok {
  if (!ok) throw new PatchError(`${what} expected`);
}

/** Where a unit is in its skeleton, and what is fixed around its value. */
export interface Part {
  kind: string;
  before: string;
  after: string;
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
  /** An element whose content the skeleton could be. */
  host: Element;
}

export interface Block {
  id: number;
  content: DocumentFragment;
  parts: Part[];
  /** The skeleton's first node is its first unit. */
  lead: boolean;
  /** See ManifestBlock.k. */
  key?: number;
}

/** A skeleton node knows its units: one for a text or comment, any for an element. */
export interface SkeletonNode extends Node {
  units?: number[];
}

const MARK = "\uFDD0";

export const isElement = (n?: Node | null): n is Element => n?.nodeType === 1;
export const isText = (n?: Node | null): n is Text => n?.nodeType === 3;
export const isComment = (n?: Node | null): n is Comment => n?.nodeType === 8;

/** A document where nothing loads and nothing runs. */
const inert = document.implementation.createHTMLDocument();

/** The node that holds a node's children; a template's are its content's. */
export const inside = (n: Node): Node => (n instanceof HTMLTemplateElement ? n.content : n);

/** Keeps Chromium from its fast parser, which decodes "&copy=1" in attributes. */
const SLOW = "<!---->";

/** Parses HTML as the content of an element like the one given. */
export function parse(html: string, like?: Node | null): ParentNode & Node {
  const host = isElement(like) ? inert.importNode(like) : inert.createElement("div");
  host.innerHTML = SLOW + html;
  const content = inside(host) as ParentNode & Node;
  content.firstChild!.remove();
  return content;
}

const pad = inert.createElement("div");

/** Decodes the entities of text or, as an attribute, of a value, where "&copy=1" is none. */
export function decode(s: string, attribute?: boolean): string {
  if (!s.includes("&")) return s;
  pad.innerHTML = attribute ? `${SLOW}<p a="${s.replace(/"/g, "&#34;")}">` : s;
  return attribute ? pad.firstElementChild!.getAttribute("a")! : pad.textContent!;
}

/** Finds every unit of a skeleton and takes the marks out. */
export function prepare(id: number, m: ManifestBlock): Block {
  const tag = m.n ?? "template";
  const host = parse(`<${tag}></${tag}>`).firstElementChild!;
  const content = inert.createDocumentFragment();
  content.append(...parse(m.h, host).childNodes);
  const parts = m.u.map((u): Part => {
    const [kind, before = "", after = "", names = ""] = [u].flat();
    return { kind, before, after, host, path: [], names: names === "*" ? undefined : names.split(" ") };
  });
  walk(content, parts, []);
  const first: SkeletonNode | null = content.firstChild;
  return { id, content, parts, lead: !isElement(first) && !!first?.units, key: m.k };
}

/** Tells a skeleton's node and its unit about each other. */
function place(n: SkeletonNode, unit: number, part: Part, path: number[]): void {
  (n.units ??= []).push(unit);
  part.path = path;
}

function walk(parent: Node, parts: Part[], path: number[]): void {
  [...inside(parent).childNodes].forEach((n, i, all) => {
    const here = [...path, i];
    if (isElement(n)) {
      attributes(n, parts, here);
      walk(n, parts, here);
      return;
    }
    const data = n.nodeValue!;
    const unit = isComment(n) ? +data : unitOf(data);
    const part = parts[unit];
    if (!part) return;
    if (isContent(part)) {
      place(parent, unit, part, path);
      n.remove();
    } else {
      place(n, unit, part, here);
      part.only = all.length === 1 && isElement(parent);
      n.nodeValue = isText(n) ? "" : "]";
    }
  });
}

/** The unit is all that an element holds. */
export const isContent = ({ kind }: Part) => "RHI".includes(kind);

/** The unit that a mark stands for, NaN for anything else. */
const unitOf = (s: string) => (s[0] === MARK ? +s.slice(1, -1) : NaN);

function attributes(e: Element, parts: Part[], path: number[]): void {
  for (const a of [...e.attributes]) {
    const { name, value } = a;
    const unit = [name, value].map(unitOf).find((u) => u >= 0);
    if (unit === undefined) continue;
    const part = parts[unit];
    place(e, unit, part, path);
    if (part.kind === "A") {
      part.name = name;
      a.value = "";
    } else {
      e.removeAttribute(name);
      part.fixed = e.getAttributeNames();
    }
  }
}
