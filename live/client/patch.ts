// The patcher: applies the server's patches to the nodes they are about.
// Nothing else is touched, so what the user and the browser keep in the DOM
// (focus, typed text, open details, running animations) stays by construction.

import { isElement, PatchError, prepare, type Block, type Manifest } from "./blocks";
import { hydrate } from "./hydrate";
import { createInputPolicy, type InputPolicy } from "./input";
import type { Instance, Run } from "./instance";
import { morph } from "./morph";
import { apply, make, sync, type Page, type WireInstance, type WirePatch } from "./apply";

export { PatchError, type Manifest } from "./blocks";
export { createInputPolicy, type InputPolicy } from "./input";

export interface PatchOptions {
  /** Explain mismatches in more detail. */
  dev?: boolean;
  /** The page is not what the manifest describes; a snapshot will repair it. */
  onMismatch?: (why: string) => void;
  /** A tree of elements has come into the page. */
  onMount?: (el: Element) => void;
  /** A unit of the element, or right under it, has changed. */
  onUpdate?: (el: Element) => void;
  /** A tree of elements is about to leave the page. */
  onDestroy?: (el: Element) => void;
  /** Defaults to createInputPolicy(root). */
  inputs?: InputPolicy;
}

export interface Patcher {
  /** Applies a patch. Throws PatchError when it does not fit: then only a snapshot helps. */
  patch(p: unknown): void;
  /** Makes the page what the snapshot says, touching only what differs. */
  snapshot(i: unknown): void;
  /** The page's nodes are known. False until the first snapshot when the HTML could not be adopted. */
  hydrated: boolean;
}

/** Adopts the server's HTML in root. */
export function createPatcher(root: HTMLElement, manifest: Manifest, opts: PatchOptions): Patcher {
  const blocks: Block[] = [];
  const hook = (fn?: (el: Element) => void) => (n: Node) => {
    if (fn && isElement(n)) fn(n);
  };
  const page: Page = {
    block(id) {
      const m = manifest.b[id];
      if (!m) throw new PatchError(`no block ${id}`);
      return (blocks[id] ??= prepare(id, m));
    },
    inputs: opts.inputs ?? createInputPolicy(root),
    mounted: hook(opts.onMount),
    destroyed: hook(opts.onDestroy),
    updated: hook(opts.onUpdate),
  };
  let top: Instance;
  /** After an error the nodes are not known any more: the next snapshot builds anew. */
  const guard = (run: () => void) => {
    try {
      patcher.hydrated = false;
      run();
      patcher.hydrated = true;
    } catch (e) {
      throw e instanceof PatchError ? e : new PatchError(`${e}`);
    }
  };
  const patcher: Patcher = {
    hydrated: false,
    patch(p) {
      if (!patcher.hydrated) throw new PatchError("nothing to patch");
      guard(() => apply(page, top, p as WirePatch));
    },
    snapshot(i) {
      const w = i as WireInstance;
      if (!patcher.hydrated) top = rebuild(page, root, w);
      guard(() => sync(page, top, w));
    },
  };
  try {
    guard(() => (top = hydrate(root, manifest.r, page.block)));
  } catch (e) {
    opts.onMismatch?.(opts.dev ? `${e} in ${root.innerHTML}` : `${e}`);
  }
  return patcher;
}

/** Builds the page beside the live one, and lets the live nodes take its place. */
function rebuild(page: Page, root: Node, w: WireInstance): Instance {
  const next = document.createDocumentFragment();
  const top = make(page, w, next, null);
  const live = new Map<Node, Node>();
  morph(root, next, { ...page, paired: (n, l) => live.set(n, l) });
  const real = (n: Node) => live.get(n) ?? n;
  const adopt = (inst: Instance): void => {
    inst.nodes = inst.nodes.map((n) => {
      const at = real(n) as Run;
      at.html = (n as Run).html?.map((h) => real(h) as ChildNode);
      return at;
    });
    inst.first = real(inst.first);
    inst.last = real(inst.last);
    inst.fill.flat().forEach((child) => child && adopt(child));
  };
  adopt(top);
  return top;
}
