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
  /** Rows of this block can be counted without marks. */
  f?: 1;
  /** Namespace of the skeleton's elements. */
  n?: "svg" | "math";
}

/** The DOM cannot take what the server sent: only a snapshot helps. */
export class PatchError extends Error {}

/** Where a unit is in its skeleton, and what is fixed around its value. */
export interface Part {
  kind: string;
  before: string;
  after: string;
  /** Child positions from the skeleton's root. */
  path: number[];
  /** The attribute, for kind A. */
  name: string;
  /** The attributes that kind S can set; undefined when nobody knows. */
  names?: string[];
  /** The attributes that kind S never touches. */
  fixed: string[];
  /** A region that is all its element holds. */
  only: boolean;
  /** An element of the skeleton's namespace. */
  host: Element;
}

export interface Block {
  content: DocumentFragment;
  parts: Part[];
  /** The skeleton is one element. */
  single: boolean;
  /** The unit that is the skeleton's first node, or -1. */
  lead: number;
  /** The unit that carries a row's key, or -1. */
  key: number;
}

/** A skeleton node knows its units: one for a text or comment, any for an element. */
export interface SkeletonNode extends Node {
  units?: number[];
}

const MARK = "\uFDD0";
const KEYS = ["data-key", "key", "id"];

export const isElement = (n?: Node | null): n is Element => n?.nodeType === 1;
export const isText = (n: Node | null): n is Text => n?.nodeType === 3;
export const isComment = (n: Node | null): n is Comment => n?.nodeType === 8;

/** A document where nothing loads and nothing runs. */
const inert = document.implementation.createHTMLDocument();

/** The node that holds a node's children; a template's are its content's. */
export const inside = (n: Node): Node => (n instanceof HTMLTemplateElement ? n.content : n);

/** Parses HTML as the content of an element like the one given. */
export function parse(html: string, like?: Node | null): Node {
  const host = isElement(like) ? inert.importNode(like) : inert.createElement("div");
  host.innerHTML = html;
  return inside(host);
}

let decoder: HTMLTextAreaElement;

/** Decodes the entities of text. */
export function decodeText(s: string): string {
  if (!s.includes("&")) return s;
  decoder ??= document.createElement("textarea");
  decoder.innerHTML = s;
  return decoder.textContent!;
}

/** Decodes an attribute's value, where "&copy=1" is no entity. */
export function decodeAttribute(s: string): string {
  if (!s.includes("&")) return s;
  return (parse(`<p a="${s.replace(/"/g, "&#34;")}">`).firstChild as Element).getAttribute("a")!;
}

/** Finds every unit of a skeleton and takes the marks out. */
export function prepare(m: ManifestBlock): Block {
  const ns = m.n && `http://www.w3.org/${m.n === "svg" ? "2000/svg" : "1998/Math/MathML"}`;
  const host = ns ? inert.createElementNS(ns, m.n!) : inert.createElement("template");
  const content = inert.createDocumentFragment();
  content.append(...parse(m.h, host).childNodes);
  const parts: Part[] = m.u.map((u) => {
    const [kind, before = "", after = "", names = ""] = typeof u === "string" ? [u] : u;
    return {
      kind, before, after, path: [], name: "", fixed: [], only: false, host,
      names: names === "*" ? undefined : names.split(" "),
    };
  });
  const place = (n: SkeletonNode, unit: string | number, path: number[]) => {
    (n.units ??= []).push(+unit);
    parts[+unit].path = path;
    return parts[+unit];
  };
  const attributes = (e: Element, path: number[]) => {
    const spans: Part[] = [];
    for (const a of [...e.attributes]) {
      if (a.value[0] === MARK) {
        place(e, a.value.slice(1, -1), path).name = a.name;
        a.value = "";
      } else if (a.name[0] === MARK) {
        spans.push(place(e, a.name.slice(1, -1), path));
        e.removeAttribute(a.name);
      }
    }
    for (const s of spans) s.fixed = e.getAttributeNames();
  };
  const walk = (parent: SkeletonNode, path: number[]) => {
    [...inside(parent).childNodes].forEach((n, i, all) => {
      const here = [...path, i];
      const unit = isComment(n) ? n.data : isText(n) && n.data[0] === MARK ? n.data.slice(1, -1) : "";
      if (unit && /[RHI]/.test(parts[+unit].kind)) {
        place(parent, unit, path);
        n.remove();
      } else if (unit) {
        place(n, unit, here).only = all.length === 1 && isElement(parent);
        (n as CharacterData).data = isText(n) ? "" : "]";
      } else if (isElement(n)) {
        attributes(n, here);
        walk(n, here);
      }
    });
  };
  walk(content, []);
  const first = content.firstChild as SkeletonNode | null;
  const element = content.firstElementChild as (Element & SkeletonNode) | null;
  const ofName = (name: string) => element?.units?.find((u) => parts[u].name === name);
  return {
    content, parts,
    single: content.childNodes.length === 1 && isElement(first),
    lead: first && !isElement(first) ? (first.units?.[0] ?? -1) : -1,
    key: KEYS.map(ofName).find((u) => u !== undefined) ?? -1,
  };
}
